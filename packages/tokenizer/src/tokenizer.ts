import { DmoermError, invalidArgument } from '@dmoerm/core';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { withFaithfulClasses, withoutFirstPrefix } from './pre-tokenizer';
import type { TokenizerSource } from './source';
import { SpecialTokens, type Segment } from './special-tokens';

/**
 * Longest text that is encoded at once, UTF-16 units. A limit on time: prose takes about 1 µs a character, a single endless word ten times
 * as much, and nothing else runs meanwhile.
 */
const MAX_TEXT_LENGTH = 250_000;

/** Turns text into token ids. */
export interface Tokenizer {
  /**
   * Ids of plain text: what looks like a special token stays text.
   * @throws DmoermError INVALID_ARGUMENT, reason `TEXT_TOO_LONG`, beyond 250,000 UTF-16 units, as `encodeRendered`.
   */
  encode(text: string): number[];
  /** Ids of rendered text: special tokens are recognised. Nothing is added: a begin-of-text token must be in the text. */
  encodeRendered(text: string): number[];
  /** The text of ids; special tokens, and bytes that are no UTF-8, are left out or become U+FFFD. */
  decode(ids: readonly number[]): string;
  /** The id of a token, also a special one, by its text in the vocabulary; null if there is none. */
  tokenId(token: string): number | null;
  /** Ids are below this. */
  readonly vocabSize: number;
}

/** A tokenizer, with what chat templates need besides. */
export class BpeTokenizer implements Tokenizer {
  readonly specials: SpecialTokens;
  readonly vocabSize: number;
  /** For the first text of a sequence, and for texts after a special token: some tokenizers put a blank before the first only. */
  readonly #first: Library;
  readonly #later: Library;

  /** @throws DmoermError DATA_LOSS, reason `BAD_TOKENIZER`, if the parts do not make a tokenizer. */
  constructor(source: TokenizerSource) {
    this.specials = new SpecialTokens(source.addedTokens);
    const ids = [...Object.values(source.model.vocab), ...source.addedTokens.map((token) => token.id)];
    this.vocabSize = ids.reduce((most, id) => Math.max(most, id), -1) + 1;
    [this.#first, this.#later] = createLibraries(source);
  }

  encode(text: string): number[] {
    checkLength(text);
    return this.encodeSegments([{ type: 'text', text }], true);
  }

  encodeRendered(text: string): number[] {
    checkLength(text);
    return this.encodeSegments(this.specials.split(text, null), true);
  }

  /** Ids of a rendered text in parts; `first`: whether the sequence begins with it. */
  encodeSegments(segments: readonly Segment[], first: boolean): number[] {
    return segments.flatMap((segment, i) => {
      if (segment.type === 'special') return [segment.id];
      const library = first && i === 0 ? this.#first : this.#later;
      return library.encode(segment.text, { add_special_tokens: false }).ids;
    });
  }

  decode(ids: readonly number[]): string {
    const plain = ids.filter((id) => !this.specials.has(id));
    if (plain.length === 0) return '';
    return this.#first.decode(plain, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  tokenId(token: string): number | null {
    return this.specials.id(token) ?? this.#first.token_to_id(token) ?? null;
  }
}

/** @throws DmoermError INVALID_ARGUMENT, reason `TEXT_TOO_LONG`, if the texts together are too long to be encoded. */
export function checkLength(...texts: readonly string[]): void {
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length > MAX_TEXT_LENGTH)
    throw invalidArgument(
      'text',
      'TEXT_TOO_LONG',
      `the text has ${length} UTF-16 units; at most ${MAX_TEXT_LENGTH} are encoded`,
    );
}

/** The library never sees special tokens: they are found before it, so that it cannot find them in what users typed. */
function createLibraries(source: TokenizerSource): [first: Library, later: Library] {
  const special = new Set(source.addedTokens.filter((token) => token.special).map((token) => token.content));
  special.delete(String(source.model['unk_token']));
  const preTokenizer = source.preTokenizer === null ? null : withFaithfulClasses(source.preTokenizer);
  const json = {
    added_tokens: source.addedTokens.filter((token) => !token.special),
    normalizer: source.normalizer,
    pre_tokenizer: preTokenizer,
    model: {
      ...source.model,
      vocab: Object.fromEntries(Object.entries(source.model.vocab).filter(([token]) => !special.has(token))),
    },
    post_processor: null,
    decoder: source.decoder,
  };
  try {
    const first = new Library(json, {});
    const laterPreTokenizer = preTokenizer === null ? null : withoutFirstPrefix(preTokenizer);
    if (laterPreTokenizer === preTokenizer) return [first, first];
    const empty = { type: 'BPE', vocab: {}, merges: [] };
    const later = new Library({ ...json, pre_tokenizer: laterPreTokenizer, model: empty }, {});
    later.model = first.model;
    return [first, later];
  } catch (cause) {
    throw new DmoermError({
      code: 'DATA_LOSS',
      reason: 'BAD_TOKENIZER',
      message: `${source.file} does not describe a tokenizer that can be built`,
      field: source.file,
      cause,
    });
  }
}
