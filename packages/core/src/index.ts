export { CODES, DmoermError, corrupt, invalidArgument } from './error';
export type { Code, ErrorOptions } from './error';
export { routingText, validatePrompt } from './conversation';
export { groupBy } from './group-by';
export { createRandom } from './random';
export type { Message, Prompt, Role, Truncation } from './conversation';
