import { DmoermError, invalidArgument } from '@dmoerm/core';

/** A token that is found in text before text is cut into pieces. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Whether it marks structure (end of turn ...): text of users never becomes such a token. */
  readonly special: boolean;
  /** Whether it takes in the blanks before or after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A part of a rendered text: one special token, or text between them. */
export type Segment =
  { readonly type: 'special'; readonly id: number } | { readonly type: 'text'; readonly text: string };

/** Characters that no text has a use for (Unicode noncharacters); each can serve as the mark that breaks a typed special token. */
const MARKS = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));

/** Finds special tokens in rendered text, and keeps typed ones from being found. */
export class SpecialTokens {
  readonly #byContent: ReadonlyMap<string, AddedToken>;
  readonly #ids: ReadonlySet<number>;
  /** Longest first, so that of two tokens with one start the longer is found, as in transformers. */
  readonly #pattern: RegExp | null;
  readonly #starts: RegExp | null;

  /** @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_TOKENIZER`, for a special token of less than two characters. */
  constructor(tokens: readonly AddedToken[]) {
    const special = tokens
      .filter((token) => token.special)
      .toSorted((a, b) => b.content.length - a.content.length);
    if (special.some((token) => token.content.length < 2))
      throw invalidArgument(
        'tokenizer',
        'UNSUPPORTED_TOKENIZER',
        'a special token of one character is not supported: text of users could not be told from it',
      );
    this.#byContent = new Map(special.map((token) => [token.content, token]));
    this.#ids = new Set(special.map(({ id }) => id));
    const alternatives = special.map((token) => escapeRegExp(token.content)).join('|');
    this.#pattern = special.length === 0 ? null : new RegExp(alternatives, 'g');
    this.#starts = special.length === 0 ? null : new RegExp(`(?=${alternatives})[\\s\\S]`, 'g');
  }

  /** Whether an id is a special token's. */
  has(id: number): boolean {
    return this.#ids.has(id);
  }

  /** The id of a special token, or null. */
  id(content: string): number | null {
    return this.#byContent.get(content)?.id ?? null;
  }

  /** A mark that occurs in none of the texts. @throws DmoermError INVALID_ARGUMENT if they use all noncharacters. */
  unusedMark(texts: readonly string[]): string {
    const mark = MARKS.find((candidate) => !texts.some((text) => text.includes(candidate)));
    if (mark !== undefined) return mark;
    throw new DmoermError({
      code: 'INVALID_ARGUMENT',
      reason: 'TEXT_OF_NONCHARACTERS',
      message: 'the text holds every Unicode noncharacter from U+FDD0 to U+FDEF; remove at least one kind',
    });
  }

  /** The text with `mark` inside of every special token that was typed, overlapping ones too: nothing is found in it any more. */
  breakTyped(text: string, mark: string): string {
    return this.#starts === null ? text : text.replace(this.#starts, (start) => start + mark);
  }

  /** Cuts a rendered text at its special tokens and takes `mark` out of the text between. */
  split(rendered: string, mark: string | null): Segment[] {
    const segments: Segment[] = [];
    let from = 0;
    let strip = false;
    const addText = (end: number, before: AddedToken | null): void => {
      let text = rendered.slice(from, end);
      if (strip) text = text.trimStart();
      if (before?.lstrip) text = text.trimEnd();
      if (mark !== null) text = text.replaceAll(mark, '');
      if (text !== '') segments.push({ type: 'text', text });
    };
    for (const match of this.#pattern === null ? [] : rendered.matchAll(this.#pattern)) {
      const token = this.#byContent.get(match[0]) as AddedToken;
      addText(match.index, token);
      segments.push({ type: 'special', id: token.id });
      from = match.index + match[0].length;
      strip = token.rstrip;
    }
    addText(rendered.length, null);
    return segments;
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
