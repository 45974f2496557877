export { PLAIN_TEMPLATE } from './chat-template';
export type { ChatTemplate } from './chat-template';
export { openTokenizer } from './open';
export type { OpenedTokenizer } from './open';
export type { Tokenizer } from './tokenizer';
export { hashedNgrams } from './ngrams';
export type { NgramSpec, SparseFeatures } from './ngrams';
