/** The words that a block of features looks at: all, the first or last so many, or the last so many of the last line. */
export interface WordRange {
  readonly from: 'all' | 'start' | 'end' | 'last_line';
  /** Most words; not for `all`. */
  readonly words: number;
}

/** Shortest and longest n. */
type NgramRange = readonly [number, number];

/** A kind of features that is scaled to length 1 by itself, then by the root of its weight. */
export type FeatureBlock = { readonly weight: number } & (
  | {
      /** N-grams of words; of characters within each word, a blank at each side; or of characters across words. */
      readonly kind: 'words' | 'word_characters' | 'characters';
      readonly range: WordRange;
      readonly ngrams: NgramRange;
    }
  /** N-grams of characters as they were typed: case, line breaks and indents tell code and lists from prose. */
  | { readonly kind: 'raw_characters'; readonly ngrams: NgramRange }
  /** Each of the first words with its place, and the ways the text begins. */
  | { readonly kind: 'opening'; readonly words: number }
  /** Length, lines, and shares of digits, marks and other scripts. */
  | { readonly kind: 'shape' }
);

/** Settings of the router's features; they are part of a bundle's manifest. */
export interface FeatureSpec {
  /** Size of the table that all features are hashed into. */
  readonly buckets: number;
  readonly blocks: readonly FeatureBlock[];
}

/** A text as a sparse vector, block after block. */
export interface SparseFeatures {
  /** Bucket of each entry, ascending within a block. */
  readonly indices: Int32Array;
  /** 1 + ln(count). */
  readonly values: Float32Array;
  /** Index of each entry's block. */
  readonly blocks: Int32Array;
}

/** Texts are cut here: what a request is about stands before, and the cost stays bounded. */
const MAX_CHARACTERS = 8000;
const WORDS = /[\p{L}\p{M}]+|\p{N}+|[^\s\p{L}\p{M}\p{N}]/gu;

/** Hashed features of a text. The same text and settings give the same features everywhere. */
export function hashedFeatures(text: string, { buckets, blocks }: FeatureSpec): SparseFeatures {
  const view = toView(text);
  const indices: number[] = [];
  const values: number[] = [];
  const owners: number[] = [];
  blocks.forEach((block, b) => {
    const counts = new Map<number, number>();
    addFeatures(view, block, (feature) => {
      const bucket = hash(feature, b) % buckets;
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    });
    for (const [bucket, count] of [...counts].sort(([a], [z]) => a - z)) {
      indices.push(bucket);
      values.push(1 + Math.log(count));
      owners.push(b);
    }
  });
  return {
    indices: Int32Array.from(indices),
    values: Float32Array.from(values),
    blocks: Int32Array.from(owners),
  };
}

/** A text as its blocks look at it. */
interface View {
  readonly text: string;
  readonly words: readonly string[];
  readonly lines: readonly string[];
}

function toView(whole: string): View {
  const text = whole.slice(0, MAX_CHARACTERS).normalize('NFKC');
  return { text, words: toWords(text), lines: text.split('\n').filter((line) => line.trim() !== '') };
}

function toWords(text: string): readonly string[] {
  return text.toLowerCase().match(WORDS) ?? [];
}

function inRange({ words, lines }: View, { from, words: most }: WordRange): readonly string[] {
  switch (from) {
    case 'all':
      return words;
    case 'start':
      return words.slice(0, most);
    case 'end':
      return words.slice(-most);
    case 'last_line':
      return toWords(lines.at(-1) ?? '').slice(-most);
  }
}

function addFeatures(view: View, block: FeatureBlock, add: (feature: string) => void): void {
  switch (block.kind) {
    case 'words':
      return addWordNgrams(inRange(view, block.range), block.ngrams, add);
    case 'word_characters':
      for (const word of inRange(view, block.range)) addCharacterNgrams(` ${word} `, block.ngrams, add);
      return;
    case 'characters':
      return addCharacterNgrams(inRange(view, block.range).join(' '), block.ngrams, add);
    case 'raw_characters':
      return addCharacterNgrams(view.text, block.ngrams, add);
    case 'opening':
      view.words.slice(0, block.words).forEach((word, i, opening) => {
        add(`${i} ${word}`);
        add(`begins ${opening.slice(0, i + 1).join(' ')}`);
      });
      return;
    case 'shape':
      return addShape(view, add);
  }
}

function addWordNgrams(
  words: readonly string[],
  [shortest, longest]: NgramRange,
  add: (feature: string) => void,
): void {
  for (let n = shortest; n <= longest; n++)
    for (let i = 0; i + n <= words.length; i++) add(words.slice(i, i + n).join(' '));
}

function addCharacterNgrams(
  text: string,
  [shortest, longest]: NgramRange,
  add: (feature: string) => void,
): void {
  for (let n = shortest; n <= longest; n++)
    for (let i = 0; i + n <= text.length; i++) add(text.slice(i, i + n));
}

/** Roots and logarithms: steps grow with the quantity. */
function addShape({ text, words, lines }: View, add: (feature: string) => void): void {
  const share = (some: readonly string[], among: number): number =>
    Math.round(10 * Math.sqrt(some.length / Math.max(1, among)));
  const trimmed = text.trim();
  const end = trimmed.slice(-1);
  add(`length ${Math.round(2 * Math.log2(1 + words.length))}`);
  add(`about ${Math.round(Math.log2(1 + words.length))}`);
  add(`lines ${Math.min(8, Math.round(Math.log2(1 + lines.length)))}`);
  add(`asks ${text.includes('?')}`);
  add(`ends ${'.:?!}'.includes(end) ? end : 'otherwise'}`);
  add(
    `digits ${share(
      words.filter((word) => /\p{N}/u.test(word)),
      words.length,
    )}`,
  );
  add(
    `marks ${share(
      words.filter((word) => !/[\p{L}\p{N}]/u.test(word)),
      words.length,
    )}`,
  );
  add(`foreign ${share(text.match(/[^\p{ASCII}]/gu) ?? [], text.length)}`);
  add(`code ${(text.match(/[{};=]/g)?.length ?? 0) > 6}`);
  add(`quotes ${text.includes('"')}`);
  add(`capital ${/^\p{Lu}/u.test(trimmed)}`);
  add(`first ${words[0] ?? ''}`);
}

/** FNV-1a over UTF-16 units with a final mix, 32 bits; another one for each block. */
function hash(text: string, block: number): number {
  let state = 0x811c9dc5 ^ Math.imul(block + 1, 0x9e3779b1);
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
