import type { AddedToken } from './special-tokens';
import type { PreTokenizerPart } from './pre-tokenizer';

/** The tokens that chat templates know by role, e.g. `bos_token`, with their text. */
export type NamedTokens = Readonly<
  Partial<Record<'bos_token' | 'eos_token' | 'unk_token' | 'pad_token', string>>
>;

/** What a container says of its tokenizer, in the terms of tokenizer.json. */
export interface TokenizerSource {
  /** File it came from, for errors. */
  readonly file: string;
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly preTokenizer: PreTokenizerPart | null;
  readonly model: BpeModel;
  readonly namedTokens: NamedTokens;
  /** The base's chat template, or null if it has none. */
  readonly template: string | null;
}

/** Byte-pair encoding: vocabulary and merges in order of rank. */
export interface BpeModel {
  readonly type: 'BPE';
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly string[])[];
  readonly [option: string]: unknown;
}
