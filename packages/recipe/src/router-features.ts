import type { FeatureSpec, WordRange } from '@dmoerm/tokenizer';

const ALL: WordRange = { from: 'all', words: 0 };

/**
 * What the router sees of a prompt. Chosen by five-fold cross-validation on the training and validation routes: how a request
 * begins and ends says more about its task than what it is about.
 */
export const ROUTER_FEATURES: FeatureSpec = {
  buckets: 2 ** 16,
  blocks: [
    { kind: 'words', range: ALL, ngrams: [1, 2], weight: 1 },
    { kind: 'word_characters', range: ALL, ngrams: [2, 5], weight: 1 },
    { kind: 'raw_characters', ngrams: [2, 5], weight: 0.7 },
    { kind: 'words', range: { from: 'start', words: 15 }, ngrams: [1, 2], weight: 1 },
    { kind: 'characters', range: { from: 'start', words: 30 }, ngrams: [3, 6], weight: 1 },
    { kind: 'words', range: { from: 'end', words: 15 }, ngrams: [1, 2], weight: 0.5 },
    { kind: 'words', range: { from: 'last_line', words: 40 }, ngrams: [1, 2], weight: 0.7 },
    { kind: 'opening', words: 6, weight: 0.7 },
    { kind: 'shape', weight: 0.3 },
  ],
};
