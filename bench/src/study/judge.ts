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

/** What a run says of the test, by variant. */
export interface Judged {
  readonly variants: Readonly<Record<string, Rewards>>;
  /** Passes of a candidate through the base, mean over test pairs, are found from these: experts per test pair. */
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
  return { variants: { reward: judge(test, embeddings, scaled) }, experts: 1 };
}

/**
 * A mixture: routed, and rules over the experts' scores in place of the MLP. With `everyRoute`, which asks twice as many experts, also with the task that
 * the data names, and at random.
 */
export async function judgeMixture(run: Run, test: StudyTest, everyRoute: boolean): Promise<Judged> {
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
      const others = everyRoute ? { oracle: record.task, random: other } : { oracle: null, random: null };
      return [group.key, { named: record.task, routed: own?.task ?? '', ...others }] as const;
    }),
  );
  const empty = (): Rewards => ({
    chosen: test.pairs.map(() => NaN),
    rejected: test.pairs.map(() => NaN),
  });
  const variants: Record<string, Rewards> = {};
  const put = (name: string, pair: number, chosen: number, rejected: number): void => {
    const own = (variants[name] ??= empty());
    own.chosen[pair] = chosen;
    own.rejected[pair] = rejected;
  };
  let experts = 0;
  for (const [t, { task }] of run.selection.tasks.entries()) {
    const own = test.groups.filter(({ key }) => asksFor(routes.get(key), task.name));
    const { rules, embeddings } = await trainedRules(run, t, own);
    const count = task.capabilities.length;
    test.pairs.forEach(({ group, first, second, record }, i) => {
      const route = routes.get(group.key);
      const [chosen, rejected] = [vector(group, embeddings, first), vector(group, embeddings, second)];
      if (route?.oracle === task.name)
        for (const [name, rule] of Object.entries(rules))
          put(`oracle_${name}`, i, rule(chosen), rule(rejected));
      if (route?.routed === task.name) {
        experts += count / test.pairs.length;
        for (const [name, rule] of Object.entries(rules)) put(name, i, rule(chosen), rule(rejected));
      }
      if (route?.random === task.name) put('random_routing', i, rules.reward(chosen), rules.reward(rejected));
      if (route === undefined) throw new Error(`no route for ${record.prompt_id}`);
    });
  }
  const hits = test.pairs
    .map(({ group }) => routes.get(group.key))
    .filter((one) => one?.named === one?.routed);
  process.stderr.write(
    `router names the data's task for ${hits.length} of ${test.pairs.length} test pairs\n`,
  );
  return { variants, experts };
}

function asksFor(
  route:
    { readonly routed: string; readonly oracle: string | null; readonly random: string | null } | undefined,
  task: string,
): boolean {
  return route !== undefined && [route.routed, route.oracle, route.random].includes(task);
}

function judge(test: StudyTest, embeddings: GroupEmbeddings, rule: Rule): Rewards {
  return {
    chosen: test.pairs.map(({ group, first }) => rule(vector(group, embeddings, first))),
    rejected: test.pairs.map(({ group, second }) => rule(vector(group, embeddings, second))),
  };
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
