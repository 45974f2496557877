import { routingText, type Message } from '@dmoerm/core';
import {
  embedGroups,
  encodeOverall,
  fitRouter,
  readUnit,
  routeText,
  unitFolder,
  type EncodedGroup,
  type GroupEmbeddings,
  type Run,
  type ValueHead,
} from '@dmoerm/recipe';
import { chooseTasks } from '@dmoerm/reward';
import { rulesOf, type TaskRules } from './rules';

/** The value heads of a task's experts. @throws Error if one is not trained. */
export async function trainedHeads(run: Run, task: number): Promise<ValueHead[]> {
  const own = run.options.recipe.tasks[task];
  const heads: ValueHead[] = [];
  for (const capability of own?.capabilities ?? []) {
    const done = own === undefined ? null : await readUnit(unitFolder(run, { task: own, capability }));
    if (done === null) throw new Error(`${capability.name} is not trained`);
    heads.push(done.head);
  }
  return heads;
}

/** The rules of a trained task, and its experts' embeddings of the groups. */
export async function trainedRules(
  run: Run,
  t: number,
  groups: readonly EncodedGroup[] = [],
): Promise<TaskRules & { readonly embeddings: GroupEmbeddings }> {
  const pairs = run.selection.tasks[t];
  if (pairs === undefined) throw new Error(`the recipe has no task ${t}`);
  const labelled = encodeOverall(run, pairs).groups.filter(({ pairs: own }) =>
    ['train', 'valid'].includes(own.get(0)?.[0]?.record.split ?? ''),
  );
  const embeddings = await embedGroups(run, pairs.task, [...labelled, ...groups]);
  return { ...rulesOf(run, await trainedHeads(run, t), labelled, embeddings), embeddings };
}

/** A task's share of a reward. */
export interface Assignment {
  readonly task: string;
  readonly weight: number;
}

/** The router of a mixture: tasks of a conversation, the most probable first. */
export function trainedRouter(
  run: Run,
): (messages: readonly Message[], type: 'top_1' | 'soft') => readonly Assignment[] {
  const { router } = fitRouter(run);
  const { tasks, router: settings } = run.options.recipe;
  const fallback = { task: settings.fallback ?? tasks[0]?.name ?? '', threshold: settings.threshold };
  return (messages, type) => {
    const probabilities = routeText(router, routingText({ type: 'conversation', messages }));
    return chooseTasks(router.labels, probabilities, { type }, fallback).assignments;
  };
}
