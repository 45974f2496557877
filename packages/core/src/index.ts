export { CODES, DmoermError, corrupt, invalidArgument } from './error';
export type { Code, ErrorOptions } from './error';
export { routingText, validatePrompt } from './conversation';
export { groupBy } from './group-by';
export type { Message, Prompt, Role, Truncation } from './conversation';
export { createRandom, normal, shuffle } from './random';
export { packBatches } from './pack-batches';
