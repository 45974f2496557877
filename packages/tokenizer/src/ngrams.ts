/** Settings of the router's features; they are part of a bundle's manifest. */
export interface NgramSpec {
  /** Size of the table that n-grams are hashed into. */
  readonly buckets: number;
  /** Shortest and longest word n-gram. */
  readonly word_ngrams: readonly [number, number];
  /** Shortest and longest character n-gram; they stay within a word with a blank at each side. */
  readonly char_ngrams: readonly [number, number];
  /** So many words from the start count once more as features of their own: requests say first what they want. */
  readonly head_words: number;
}

/** A text as a sparse vector. */
export interface SparseFeatures {
  /** Ascending, each once. */
  readonly indices: Int32Array;
  /** 1 + ln(count). */
  readonly values: Float32Array;
}

/** Texts are cut here: what a request is about stands before, and the cost stays bounded. */
const MAX_CHARACTERS = 8000;

/** Hashed word and character n-grams of a text. The same text and settings give the same features everywhere. */
export function hashedNgrams(text: string, spec: NgramSpec): SparseFeatures {
  const counts = new Map<number, number>();
  const add = (feature: string): void => {
    const bucket = hash(feature) % spec.buckets;
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  };
  const words =
    text
      .slice(0, MAX_CHARACTERS)
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}]+|\p{N}+|[^\s\p{L}\p{M}\p{N}]/gu) ?? [];
  addWordNgrams(words, spec.word_ngrams, 'w', add);
  addWordNgrams(words.slice(0, spec.head_words), [1, 2], 'h', add);
  for (const word of words) addCharNgrams(` ${word} `, spec.char_ngrams, add);
  // How long a request is tells an order for a text from small talk.
  add(`length ${Math.round(2 * Math.log2(1 + words.length))}`);
  const entries = [...counts].sort(([a], [b]) => a - b);
  return {
    indices: Int32Array.from(entries, ([bucket]) => bucket),
    values: Float32Array.from(entries, ([, count]) => 1 + Math.log(count)),
  };
}

function addWordNgrams(
  words: readonly string[],
  [shortest, longest]: readonly [number, number],
  kind: string,
  add: (feature: string) => void,
): void {
  for (let n = shortest; n <= longest; n++)
    for (let i = 0; i + n <= words.length; i++) add(`${kind} ${words.slice(i, i + n).join(' ')}`);
}

function addCharNgrams(
  word: string,
  [shortest, longest]: readonly [number, number],
  add: (feature: string) => void,
): void {
  for (let n = shortest; n <= longest; n++)
    for (let i = 0; i + n <= word.length; i++) add(`c ${word.slice(i, i + n)}`);
}

/** FNV-1a over UTF-16 units with a final mix, 32 bits. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
