import { encodePairs, pairRenderer, type Encoded } from './encode';
import type { PairRecord } from './pairs';
import type { RecipeTask } from './recipe';
import { readoutTokens, type Run } from './run';
import type { TaskPairs } from './select';

/** The task's overall preferences as tokens, by what they are for; their learner is 0. */
export function encodeOverall(run: Run, { task, overall }: TaskPairs): Encoded {
  return encodePairs([overall], pairRenderer(run.opened, longestConversation(run, task)));
}

/** Tokens of a conversation that leave the experts room for their own. */
function longestConversation(run: Run, task: RecipeTask): number {
  const own = task.capabilities.map((capability) => readoutTokens(run, { task, capability }).length);
  return Math.min(run.options.recipe.max_tokens, run.base.config.maxPositions - Math.max(...own));
}

/** The task's pairs as tokens; learners are the capabilities in order, or the task itself in phase 1. */
export function encodeTask(
  run: Run,
  { task, experts, first }: TaskPairs,
  phase1: boolean,
): { train: Encoded; valid: Encoded } {
  const learners: (readonly PairRecord[])[] = phase1
    ? [first]
    : task.capabilities.map(({ name }) => experts.get(name) ?? []);
  const renderer = pairRenderer(run.opened, longestConversation(run, task));
  const part = (split: string): Encoded =>
    encodePairs(
      learners.map((pairs) => pairs.filter((row) => row.split === split)),
      renderer,
    );
  return { train: part('train'), valid: part('valid') };
}
