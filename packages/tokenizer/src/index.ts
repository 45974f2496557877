export { PLAIN_TEMPLATE } from './chat-template';
export type { ChatTemplate } from './chat-template';
export { openTokenizer } from './open';
export type { OpenedTokenizer } from './open';
export type { Tokenizer } from './tokenizer';
export { hashedFeatures } from './hashed-features';
export type { FeatureBlock, FeatureSpec, SparseFeatures, WordRange } from './hashed-features';
