import lines from '#examples/conversations.jsonl?raw';
import type { Message } from './draft';

/** A conversation to begin with. */
export interface Example {
  readonly id: string;
  readonly messages: readonly Message[];
  readonly candidates: readonly string[];
}

/** Those that `npm run demo` scores. */
export const EXAMPLES = lines
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Example);
