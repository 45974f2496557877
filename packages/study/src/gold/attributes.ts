/** What the gold reward measures of a response. */
export const ATTRIBUTES = ['relevance', 'variety', 'brevity', 'plainness', 'form'] as const;
/** One of them. */
export type Attribute = (typeof ATTRIBUTES)[number];

/** Raw measures; larger is better. */
export type Measures = Readonly<Record<Attribute, number>>;

/** Words that a reader knows: those that the training prompts and responses use more than once. */
export type Vocabulary = ReadonlySet<string>;

/** Shorter words say little of what a text is about. */
const CONTENT_LETTERS = 4;
/** So many words of the question in the response are enough. */
const ENOUGH = 3;

/**
 * Measures a response, on its text alone:
 * - relevance: words of the question that it takes up, at most three, in [0, 1];
 * - variety: share of its words that differ from those before;
 * - brevity: how near it is to the wanted number of words, -|ln(words / wanted)|;
 * - plainness: share of its words that are in the vocabulary;
 * - form: begins with a capital and ends as a sentence does, a half each.
 */
export function measure(
  question: string,
  response: string,
  wantedWords: number,
  known: Vocabulary,
): Measures {
  const words = wordsOf(response);
  const distinct = new Set(words);
  const asked = new Set(wordsOf(question).filter(({ length }) => length >= CONTENT_LETTERS));
  const taken = [...asked].filter((word) => distinct.has(word)).length;
  const count = Math.max(1, words.length);
  return {
    relevance: Math.min(1, taken / Math.max(1, Math.min(ENOUGH, asked.size))),
    variety: distinct.size / count,
    brevity: -Math.abs(Math.log((words.length + 1) / (wantedWords + 1))),
    plainness: words.filter((word) => known.has(word)).length / count,
    form: (/^\s*["'(]?\p{Lu}/u.test(response) ? 0.5 : 0) + (/[.!?]["')]?\s*$/.test(response) ? 0.5 : 0),
  };
}

/** Words that occur at least twice in texts. */
export function vocabularyOf(texts: Iterable<string>): Vocabulary {
  const counts = new Map<string, number>();
  for (const text of texts) for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return new Set([...counts].filter(([, count]) => count > 1).map(([word]) => word));
}

/** Lower-case words of a text. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/\p{L}+(?:'\p{L}+)?/gu) ?? [];
}
