import { createRandom } from '@dmoerm/core';
import {
  embedGroups,
  encodeOverall,
  headScore,
  type EncodedGroup,
  type GroupEmbeddings,
  type Run,
} from '@dmoerm/recipe';
import { standardised, trainedHeads, trainedRouter, trainedRules, type Rule } from '@dmoerm/study';
import type { StudyTest } from './test-pairs';

/** Rewards of the preferred and the other response, by test pair; standardised on validation. */
export interface Rewards {
  readonly chosen: number[];
  readonly rejected: number[];
}

/** Of some test pairs, by index, a variant's reward of the preferred response and of the other. */
export type Judgements = Readonly<Record<string, readonly (readonly [number, number, number])[]>>;

/** What a task's experts, or a single model, say of the test pairs that come to them. */
export interface Judged {
  readonly variants: Judgements;
  /** Experts per test pair, mean over all of them: passes of a candidate through the base are found from these. */
  readonly experts: number;
}

/** A model of one expert: its score is the reward. */
export async function judgeSingle(run: Run, test: StudyTest): Promise<Judged> {
  const [pairs] = run.selection.tasks;
  if (pairs === undefined) throw new Error('the recipe has no task');
  const { groups } = encodeOverall(run, pairs);
  const valid = groups.filter(isSplit('valid'));
  const embeddings = await embedGroups(run, pairs.task, unique([...valid, ...test.groups]));
  const [head] = await trainedHeads(run, 0);
  if (head === undefined) throw new Error('the recipe has no expert');
  const scaled = standardised(
    valid.flatMap((group) => vectors(group, embeddings)),
    (u) => headScore(head, u),
  );
  const reward = test.pairs.map(({ group, first, second }, i) => {
    const of = (n: number): number => scaled(vector(group, embeddings, n));
    return [i, of(first), of(second)] as const;
  });
  return { variants: { reward }, experts: 1 };
}

/** Where a test group goes, by its key. */
export type Routes = ReadonlyMap<string, Route>;

interface Route {
  readonly named: string;
  readonly routed: string;
  readonly random: string;
}

/** The task that the data names, the router's, and one at random. */
export function routesOf(run: Run, test: StudyTest): Routes {
  const { recipe } = run.options;
  const route = trainedRouter(run);
  const tasks = recipe.tasks.map(({ name }) => name);
  const random = createRandom(recipe.seed);
  const routes = new Map(
    test.groups.map((group) => {
      const [record] = (group.pairs.get(0) ?? []).map((pair) => pair.record);
      if (record === undefined) throw new Error('a test group has no pair');
      const [own] = route(record.messages, 'top_1');
      const other = tasks[Math.floor(random() * tasks.length)] ?? '';
      return [group.key, { named: record.task, routed: own?.task ?? '', random: other }] as const;
    }),
  );
  const hits = test.pairs.filter(
    ({ group }) => routes.get(group.key)?.named === routes.get(group.key)?.routed,
  );
  process.stderr.write(
    `router names the data's task for ${hits.length} of ${test.pairs.length} test pairs\n`,
  );
  return routes;
}

/**
 * A trained task of a mixture: what is routed to it, also by rules over the experts' scores in place of the MLP. With `everyRoute`, which
 * asks twice as many experts, also what the data names it for, and what comes to it at random.
 */
export async function judgeTask(
  run: Run,
  test: StudyTest,
  task: string,
  routes: Routes,
  everyRoute: boolean,
): Promise<Judged> {
  const t = run.selection.tasks.findIndex((one) => one.task.name === task);
  const comes = (route: Route | undefined): boolean =>
    route !== undefined && [route.routed, ...(everyRoute ? [route.named, route.random] : [])].includes(task);
  const { rules, embeddings } = await trainedRules(
    run,
    t,
    test.groups.filter(({ key }) => comes(routes.get(key))),
  );
  const count = run.selection.tasks[t]?.task.capabilities.length ?? 0;
  const variants: Record<string, [number, number, number][]> = {};
  let experts = 0;
  test.pairs.forEach(({ group, first, second }, i) => {
    const route = routes.get(group.key);
    if (!comes(route)) return;
    const [chosen, rejected] = [vector(group, embeddings, first), vector(group, embeddings, second)];
    const put = (name: string, rule: Rule): void => {
      (variants[name] ??= []).push([i, rule(chosen), rule(rejected)]);
    };
    if (route?.routed === task) experts += count / test.pairs.length;
    for (const [name, rule] of Object.entries(rules)) {
      if (route?.routed === task) put(name, rule);
      if (everyRoute && route?.named === task) put(`oracle_${name}`, rule);
    }
    if (everyRoute && route?.random === task) put('random_routing', rules.reward);
  });
  return { variants, experts };
}

function vectors(group: EncodedGroup, embeddings: GroupEmbeddings): Float32Array[] {
  return group.candidates.map((_, n) => vector(group, embeddings, n));
}

function vector({ key, candidates }: EncodedGroup, embeddings: GroupEmbeddings, n: number): Float32Array {
  const all = embeddings.get(key) ?? new Float32Array(0);
  const width = all.length / candidates.length;
  return all.subarray(n * width, (n + 1) * width);
}

function isSplit(split: string): (group: EncodedGroup) => boolean {
  return ({ pairs }) => pairs.get(0)?.[0]?.record.split === split;
}

function unique(groups: readonly EncodedGroup[]): EncodedGroup[] {
  return [...new Map(groups.map((group) => [group.key, group])).values()];
}
