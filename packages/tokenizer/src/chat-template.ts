import { createHash } from 'node:crypto';
import { invalidArgument, type Message } from '@dmoerm/core';
import { compileTemplate, type Render } from './render';
import type { TokenizerSource } from './source';
import type { Segment } from './special-tokens';
import { checkLength, type BpeTokenizer } from './tokenizer';

/** Turns conversations into tokens in the form that the base was trained with. */
export interface ChatTemplate {
  /** SHA-256, hexadecimal, of the template's text and the special tokens. */
  readonly digest: string;
  /** Whether the base brought the template, or it is `PLAIN_TEMPLATE` because the base has none. */
  readonly origin: 'base' | 'plain';
  /** The token that ends a turn: the last one of every candidate. */
  readonly endTokenId: number;
  /**
   * Tokens up to where the assistant's answer begins. Special tokens come from the template alone, never from what somebody typed.
   * @throws DmoermError INVALID_ARGUMENT, reason `TEMPLATE_REFUSED` or `TEXT_TOO_LONG`.
   */
  promptTokens(messages: readonly Message[]): number[];
  /** Tokens of an answer as the template renders it, up to and with the end of the turn. @throws as `promptTokens`. */
  candidateTokens(text: string): number[];
}

/** For bases without a chat template: `User: ...`, blank line, `Assistant: ...`, end-of-text token. */
export const PLAIN_TEMPLATE =
  "{% if bos_token is defined %}{{ bos_token }}{% endif %}{% for message in messages %}{{ message['role'] | capitalize + ': ' + message['content'] }}" +
  "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

const QUESTION: readonly Message[] = [{ role: 'user', content: 'x' }];
/** Stands for an answer while the template's own parts around it are looked for. */
const ANSWER = '\ufdd0answer\ufdd0';

/**
 * The chat template of a tokenizer.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_TEMPLATE`, if it loses the answer or there is no token that ends a turn;
 *   DATA_LOSS, reason `BAD_TEMPLATE`.
 */
export function createChatTemplate(source: TokenizerSource, tokenizer: BpeTokenizer): ChatTemplate {
  const text = source.template ?? PLAIN_TEMPLATE;
  const render = compileTemplate(source.file, text, source.namedTokens);
  const turn = inspectTurn(source, tokenizer, render);
  return {
    digest: digestOf(text, source),
    origin: source.template === null ? 'plain' : 'base',
    endTokenId: turn.endTokenId,
    promptTokens: (messages) => {
      const contents = messages.map((message) => message.content);
      checkLength(...contents);
      const mark = tokenizer.specials.unusedMark([...contents, text]);
      const safe = messages.map(({ role, content }) => ({
        role,
        content: tokenizer.specials.breakTyped(content, mark),
      }));
      return tokenizer.encodeSegments(tokenizer.specials.split(turn.prompt(safe), mark), true);
    },
    candidateTokens: (answer) => {
      checkLength(answer);
      const mark = tokenizer.specials.unusedMark([answer, text]);
      const rendered = turn.answer(tokenizer.specials.breakTyped(answer, mark));
      const segments = upToEnd(tokenizer.specials.split(rendered, mark), turn.markersBefore);
      return [...tokenizer.encodeSegments(segments, false), turn.endTokenId];
    },
  };
}

/** How a template writes an assistant's turn. */
interface AssistantTurn {
  /** The rendered text before the answer. */
  readonly prompt: (messages: readonly Message[]) => string;
  /** The rendered answer, with whatever the template writes after the prompt and after the answer. */
  readonly answer: (text: string) => string;
  /** Special tokens between the prompt and the answer's text. */
  readonly markersBefore: number;
  readonly endTokenId: number;
}

function inspectTurn(source: TokenizerSource, tokenizer: BpeTokenizer, render: Render): AssistantTurn {
  const whole = (messages: readonly Message[], content: string): string =>
    render([...messages, { role: 'assistant', content }], false);
  const beforeAnswer = (messages: readonly Message[]): string => {
    // Blanks before the answer belong to its first word.
    const rendered = whole(messages, ANSWER);
    return rendered.slice(0, rendered.lastIndexOf(ANSWER)).replace(/ +$/, '');
  };
  const example = whole(QUESTION, ANSWER);
  const at = example.indexOf(ANSWER);
  if (at < 0) throw refused(source.file, 'a chat template that drops what the assistant says');
  // A generation prompt is used if the template has one that its whole conversations continue.
  const generation = render(QUESTION, true);
  const hasPrompt = generation !== render(QUESTION, false) && example.slice(0, at).startsWith(generation);
  const prompt = hasPrompt ? (messages: readonly Message[]) => render(messages, true) : beforeAnswer;
  const examplePrompt = prompt(QUESTION);
  const after = example.slice(at + ANSWER.length);
  const count = (text: string): number =>
    tokenizer.specials.split(text, null).filter(({ type }) => type === 'special').length;
  return {
    prompt,
    answer: (text) => {
      const rendered = whole(QUESTION, text);
      return rendered.startsWith(examplePrompt) ? rendered.slice(examplePrompt.length) : text + after;
    },
    markersBefore: count(example.slice(examplePrompt.length, at)),
    endTokenId: endToken(source, tokenizer, after),
  };
}

/** The first special token after an answer; if the template writes none, the end-of-text token. */
function endToken(source: TokenizerSource, tokenizer: BpeTokenizer, after: string): number {
  const written = tokenizer.specials.split(after, null).find((segment) => segment.type === 'special');
  const eos = source.namedTokens.eos_token;
  const id = written?.type === 'special' ? written.id : eos === undefined ? null : tokenizer.tokenId(eos);
  if (id === null) throw refused(source.file, 'a tokenizer without a token that ends a turn (eos_token)');
  return id;
}

/** The parts of an answer before the special token that ends it. */
function upToEnd(segments: readonly Segment[], markersBefore: number): readonly Segment[] {
  const markers = segments.flatMap((segment, i) => (segment.type === 'special' ? [i] : []));
  return segments.slice(0, markers[markersBefore] ?? segments.length);
}

function digestOf(text: string, source: TokenizerSource): string {
  const special = source.addedTokens.filter((token) => token.special).toSorted((a, b) => a.id - b.id);
  const named = Object.entries(source.namedTokens).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const content = JSON.stringify([text, named, special.map(({ id, content }) => [id, content])]);
  return createHash('sha256').update(content).digest('hex');
}

function refused(file: string, what: string): Error {
  return invalidArgument(file, 'UNSUPPORTED_TEMPLATE', `${file}: ${what} is not supported`);
}
