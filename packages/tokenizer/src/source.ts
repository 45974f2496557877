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
  /** How ids become text again; null if the container does not say. */
  readonly decoder: unknown;
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

/**
 * The added tokens with every token that has a role among the special ones, as transformers does when it loads a tokenizer: a file may
 * list them as ordinary ones, or only in its vocabulary.
 */
export function withRolesSpecial(
  added: readonly AddedToken[],
  vocab: Readonly<Record<string, number>>,
  roles: readonly string[],
): readonly AddedToken[] {
  // A role given to a single letter (some pad with `!`) does not make that letter a marker.
  const markers = new Set(roles.filter((content) => content.length > 1));
  const listed = added.map((token) => (markers.has(token.content) ? { ...token, special: true } : token));
  for (const { content } of added) markers.delete(content);
  const unlisted = [...markers].filter((content) => Object.hasOwn(vocab, content));
  return [
    ...listed,
    ...unlisted.map((content) => ({
      id: vocab[content] as number,
      content,
      special: true,
      lstrip: false,
      rstrip: false,
    })),
  ];
}
