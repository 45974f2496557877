/** Special tokens of a decoder trained from scratch, with the first ids. */
export const SPECIAL_TOKENS = ['<|bos|>', '<|user|>', '<|assistant|>', '<|end|>', '<|system|>'] as const;

/** A byte-level BPE vocabulary (Sennrich et al., arXiv 1508.07909), as `tokenizer.json` holds it. */
export interface Vocabulary {
  /** Token -> id; special tokens are not in it. */
  readonly tokens: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
}

/** How text falls into words before merges: as GPT-2's, digits one by one. */
const WORDS = /'(?:[sdmt]|ll|ve|re)|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Learns the merges that the most frequent words ask for, until there are `size` tokens. Equal counts: the smaller pair. */
export function trainVocabulary(texts: Iterable<string>, size: number): Vocabulary {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const word of text.match(WORDS) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  const alphabet = byteAlphabet();
  const words = [...counts].map(([word, count]) => ({
    parts: Array.from(Buffer.from(word), (byte) => alphabet[byte] ?? ''),
    count,
  }));
  const tokens = new Map([...alphabet].sort().map((token, i) => [token, SPECIAL_TOKENS.length + i]));
  const pairs = new PairCounts(words);
  const merges: [string, string][] = [];
  while (tokens.size + SPECIAL_TOKENS.length < size) {
    const pair = pairs.mostFrequent();
    if (pair === null) break;
    merges.push(pair);
    tokens.set(pair[0] + pair[1], SPECIAL_TOKENS.length + tokens.size);
    pairs.merge(pair);
  }
  return { tokens, merges };
}

interface Word {
  parts: string[];
  readonly count: number;
}

/** How often tokens stand side by side, kept up to date while pairs are merged. */
class PairCounts {
  private readonly counts = new Map<string, number>();
  private readonly places = new Map<string, Set<Word>>();

  constructor(words: readonly Word[]) {
    for (const word of words) this.count(word, 1);
  }

  mostFrequent(): [string, string] | null {
    let best: string | null = null;
    let most = 1;
    for (const [pair, count] of this.counts)
      if (count > most || (count === most && best !== null && pair < best)) [best, most] = [pair, count];
    if (best === null) return null;
    const [left = '', right = ''] = best.split(' ');
    return [left, right];
  }

  merge([left, right]: readonly [string, string]): void {
    for (const word of [...(this.places.get(`${left} ${right}`) ?? [])]) {
      this.count(word, -1);
      const parts: string[] = [];
      for (let i = 0; i < word.parts.length; i++)
        if (word.parts[i] === left && word.parts[i + 1] === right) {
          parts.push(left + right);
          i++;
        } else {
          parts.push(word.parts[i] ?? '');
        }
      word.parts = parts;
      this.count(word, 1);
    }
  }

  private count(word: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.parts.length; i++) {
      const pair = `${word.parts[i]} ${word.parts[i + 1]}`;
      const count = (this.counts.get(pair) ?? 0) + sign * word.count;
      if (count > 0) this.counts.set(pair, count);
      else this.counts.delete(pair);
      const places = this.places.get(pair) ?? new Set();
      if (sign > 0) places.add(word);
      else places.delete(word);
      this.places.set(pair, places);
    }
  }
}

/** The printable character that stands for each byte, as byte-level tokenizers have it. */
function byteAlphabet(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}
