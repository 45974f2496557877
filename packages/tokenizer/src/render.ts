import { DmoermError, type Message } from '@dmoerm/core';
import { Template } from '@huggingface/jinja';
import type { NamedTokens } from './source';
import { honourStripArguments, STRIP_FUNCTIONS } from './strip-calls';

/** Renders messages; with `generationPrompt` up to where the assistant's answer begins. */
export type Render = (messages: readonly Message[], generationPrompt: boolean) => string;

/** Takes the place of the function that tells the date: a reward must not change from day to day. */
const FIXED_DATE = '{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}';

/**
 * Compiles a chat template. It sees what transformers gives it, but for the date, which is always the one that Llama's templates fall
 * back to.
 * @throws DmoermError DATA_LOSS, reason `BAD_TEMPLATE`; the result throws INVALID_ARGUMENT, reason `TEMPLATE_REFUSED`, for
 *   conversations that the template does not render.
 */
export function compileTemplate(file: string, source: string, tokens: NamedTokens): Render {
  const template = parse(file, source);
  const fixed = { ...STRIP_FUNCTIONS, ...tokens, tools: null, documents: null };
  return (messages, generationPrompt) => {
    try {
      return template.render({ ...fixed, messages, add_generation_prompt: generationPrompt });
    } catch {
      // The cause may quote the conversation, so it goes no further.
      throw new DmoermError({
        code: 'INVALID_ARGUMENT',
        reason: 'TEMPLATE_REFUSED',
        message:
          "the base's chat template does not render this conversation; many want user and assistant turns to alternate, some no system turn",
        field: 'messages',
      });
    }
  };
}

function parse(file: string, source: string): Template {
  try {
    const template = new Template(FIXED_DATE + source);
    honourStripArguments(template);
    return template;
  } catch (cause) {
    throw new DmoermError({
      code: 'DATA_LOSS',
      reason: 'BAD_TEMPLATE',
      message: `the chat template of ${file} is not valid`,
      field: file,
      cause,
    });
  }
}
