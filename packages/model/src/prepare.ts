import {
  DmoermError,
  invalidArgument,
  validatePrompt,
  type Message,
  type Prompt,
  type Truncation,
} from '@dmoerm/core';

/** One prompt and the responses to score. */
export interface EvaluateItem {
  readonly prompt: Prompt;
  readonly candidates: readonly string[];
  readonly truncation: Truncation;
}

/** A candidate as tokens, or why it cannot be scored. */
export type PreparedCandidate =
  | {
      readonly type: 'tokens';
      /** Index into `TokenItem.prompts`. */
      readonly prompt: number;
      readonly tokens: Int32Array;
      /** True if turns were dropped to fit this candidate. */
      readonly truncated: boolean;
    }
  | { readonly type: 'error'; readonly error: DmoermError };

/** An item as tokens. */
export interface TokenItem {
  /**
   * The prompt, once in full and once more for each shorter form that a long candidate needed: what a candidate is scored
   * with depends on that candidate alone, not on the others.
   */
  readonly prompts: readonly Int32Array[];
  /** One per candidate, same order. */
  readonly candidates: readonly PreparedCandidate[];
  /** Rows that the engine will compute: the cost for a token budget. */
  readonly engineTokens: number;
}

/** What turns text into tokens. */
export interface Renderer {
  /** Tokens up to and with the assistant's header. */
  readonly promptTokens: (messages: readonly Message[]) => readonly number[];
  /** Response and end-of-turn token. */
  readonly candidateTokens: (text: string) => readonly number[];
  /** Text that the caller rendered: special tokens are recognised. */
  readonly renderedTokens: (text: string) => readonly number[];
  /** Most tokens of prompt and candidate together. */
  readonly maxTokens: number;
  /** Rows of the engine for a prompt and its candidates, by their token counts. */
  readonly cost: (promptTokens: number, candidateTokens: readonly number[]) => number;
}

/**
 * Turns an item into tokens. What is wrong with the prompt throws; what is wrong with one candidate becomes that
 * candidate's error, the others stay.
 * @throws DmoermError INVALID_ARGUMENT with the field, e.g. `messages[0].content`, `candidates`.
 */
export function prepareItem(item: EvaluateItem, renderer: Renderer): TokenItem {
  validatePrompt(item.prompt);
  if (item.candidates.length === 0)
    throw invalidArgument(
      'candidates',
      'NO_CANDIDATES',
      'there are no candidates; send at least one response to score',
    );
  const prompts = new PromptForms(item.prompt, renderer);
  const candidates = item.candidates.map((text, i): PreparedCandidate => {
    const field = `candidates[${i}]`;
    if (text === '')
      return {
        type: 'error',
        error: invalidArgument(field, 'EMPTY_CANDIDATE', 'the candidate is empty; a response has text'),
      };
    const tokens = Int32Array.from(renderer.candidateTokens(text));
    const room = renderer.maxTokens - tokens.length;
    const prompt = item.truncation === 'keep_end' ? prompts.fitting(room) : prompts.whole();
    const count = prompt.tokens.length + tokens.length;
    if (count > renderer.maxTokens)
      return { type: 'error', error: tooLong(field, count, renderer.maxTokens, item.truncation) };
    return { type: 'tokens', prompt: prompt.index, tokens, truncated: prompt.dropped > 0 };
  });
  const engineTokens = prompts.used.reduce((sum, form, index) => {
    const counts = candidates.flatMap((c) =>
      c.type === 'tokens' && c.prompt === index ? [c.tokens.length] : [],
    );
    return counts.length === 0 ? sum : sum + renderer.cost(form.length, counts);
  }, 0);
  return { prompts: prompts.used, candidates, engineTokens };
}

/** A prompt with its oldest turns dropped. */
interface PromptForm {
  readonly index: number;
  readonly tokens: Int32Array;
  readonly dropped: number;
}

/** The forms of one prompt, rendered on demand. A system turn and the last turn always stay. */
class PromptForms {
  readonly used: Int32Array[] = [];
  private readonly forms = new Map<number, PromptForm>();
  private readonly rendered = new Map<number, Int32Array>();

  constructor(
    private readonly prompt: Prompt,
    private readonly renderer: Renderer,
  ) {}

  whole(): PromptForm {
    return this.form(0);
  }

  /**
   * The longest form of at most `room` tokens, or the shortest there is. By bisection: a conversation of very many short
   * turns must not cost a rendering for each of them.
   */
  fitting(room: number): PromptForm {
    const turns =
      this.prompt.type === 'text' ? 1 : this.prompt.messages.filter(({ role }) => role !== 'system').length;
    if (this.render(0).length <= room) return this.form(0);
    let [tooMany, enough] = [0, Math.max(0, turns - 1)];
    while (enough - tooMany > 1) {
      const middle = Math.floor((tooMany + enough) / 2);
      if (this.render(middle).length <= room) enough = middle;
      else tooMany = middle;
    }
    return this.form(enough);
  }

  private form(dropped: number): PromptForm {
    let form = this.forms.get(dropped);
    if (form === undefined) {
      const tokens = this.render(dropped);
      form = { index: this.used.push(tokens) - 1, tokens, dropped };
      this.forms.set(dropped, form);
    }
    return form;
  }

  private render(dropped: number): Int32Array {
    let tokens = this.rendered.get(dropped);
    if (tokens === undefined) {
      tokens = Int32Array.from(this.renderTokens(dropped));
      this.rendered.set(dropped, tokens);
    }
    return tokens;
  }

  private renderTokens(dropped: number): readonly number[] {
    if (this.prompt.type === 'text') return this.renderer.renderedTokens(this.prompt.text);
    const system = this.prompt.messages.filter(({ role }) => role === 'system');
    return this.renderer.promptTokens([...system, ...this.prompt.messages.slice(system.length + dropped)]);
  }
}

function tooLong(field: string, count: number, limit: number, truncation: Truncation): DmoermError {
  const fix =
    truncation === 'reject'
      ? 'shorten it, or ask for truncation KEEP_END to drop the oldest turns'
      : 'dropping older turns did not suffice; shorten the response or the last turn';
  return new DmoermError({
    code: 'INVALID_ARGUMENT',
    reason: 'TOO_LONG',
    field,
    message: `prompt and candidate are ${count} tokens, the limit is ${limit}: ${fix}`,
    metadata: { token_count: String(count), max_tokens: String(limit) },
  });
}
