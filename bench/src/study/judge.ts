import { createRandom } from '@dmoerm/core';
import {
  aggregate,
  embedGroups,
  encodeOverall,
  fitRouter,
  headScore,
  judgedPairs,
  readUnit,
  routeText,
  trainAggregator,
  unitFolder,
  type EncodedGroup,
  type GroupEmbeddings,
  type Run,
  type ValueHead,
} from '@dmoerm/recipe';
import { chooseTasks } from '@dmoerm/reward';
import { routingText } from '@dmoerm/core';
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

/** Weight of the population variance in the uncertainty-weighted mean (arXiv 2310.02743). */
const LAMBDA = 0.5;

/** A model of one expert: its score is the reward. */
export async function judgeSingle(run: Run, test: StudyTest): Promise<Judged> {
  const [pairs] = run.selection.tasks;
  if (pairs === undefined) throw new Error('the recipe has no task');
  const { groups } = encodeOverall(run, pairs);
  const valid = groups.filter(isSplit('valid'));
  const embeddings = await embedGroups(run, pairs.task, unique([...valid, ...test.groups]));
  const [head] = await headsOf(run, 0);
  if (head === undefined) throw new Error('the recipe has no expert');
  const scaled = standardised(
    valid.flatMap((group) => vectors(group, embeddings)),
    (u) => headScore(head, u),
  );
  return { variants: { reward: judge(test, embeddings, scaled) }, experts: 1 };
}

/** A mixture: routed, with the task that the data names, at random; and rules over the experts' scores in place of the MLP. */
export async function judgeMixture(run: Run, test: StudyTest): Promise<Judged> {
  const { recipe } = run.options;
  const { router } = fitRouter(run);
  const tasks = recipe.tasks.map(({ name }) => name);
  const random = createRandom(recipe.seed);
  const routes = new Map(
    test.groups.map((group) => {
      const [record] = (group.pairs.get(0) ?? []).map((pair) => pair.record);
      if (record === undefined) throw new Error('a test group has no pair');
      const text = routingText({ type: 'conversation', messages: record.messages });
      const fallback = {
        task: recipe.router.fallback ?? tasks[0] ?? '',
        threshold: recipe.router.threshold,
      };
      const { assignments } = chooseTasks(
        router.labels,
        routeText(router, text),
        { type: 'top_1' },
        fallback,
      );
      const other = tasks[Math.floor(random() * tasks.length)] ?? '';
      return [group.key, { oracle: record.task, routed: assignments[0]?.task ?? '', random: other }] as const;
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
  for (const [t, pairs] of run.selection.tasks.entries()) {
    const { task } = pairs;
    const { groups } = encodeOverall(run, pairs);
    const fitted = groups.filter((group) => isSplit('train')(group) || isSplit('valid')(group));
    const own = test.groups.filter(({ key }) => Object.values(routes.get(key) ?? {}).includes(task.name));
    const embeddings = await embedGroups(run, task, unique([...fitted, ...own]));
    const heads = await headsOf(run, t);
    const rules = rulesOf(run, heads, fitted, embeddings);
    test.pairs.forEach(({ group, first, second, record }, i) => {
      const route = routes.get(group.key);
      const [chosen, rejected] = [vector(group, embeddings, first), vector(group, embeddings, second)];
      if (route?.oracle === task.name)
        for (const [name, rule] of Object.entries(rules))
          put(`oracle_${name}`, i, rule(chosen), rule(rejected));
      if (route?.routed === task.name) {
        experts += heads.length / test.pairs.length;
        for (const [name, rule] of Object.entries(rules)) put(name, i, rule(chosen), rule(rejected));
      }
      if (route?.random === task.name) put('random_routing', i, rules.reward(chosen), rules.reward(rejected));
      if (route === undefined) throw new Error(`no route for ${record.prompt_id}`);
    });
  }
  const hits = test.pairs
    .map(({ group }) => routes.get(group.key))
    .filter((one) => one?.oracle === one?.routed);
  process.stderr.write(
    `router names the data's task for ${hits.length} of ${test.pairs.length} test pairs\n`,
  );
  return { variants, experts };
}

/** Ways to make a reward of the experts' embeddings u [K * d]. */
function rulesOf(
  { options }: Run,
  heads: readonly ValueHead[],
  groups: readonly EncodedGroup[],
  embeddings: GroupEmbeddings,
): Record<'reward' | 'mean_of_scores' | 'worst_case' | 'uncertainty_weighted' | 'overall_expert', Rule> {
  const { phase3, seed } = options.recipe;
  const pairs = judgedPairs(groups, embeddings);
  const part = (split: string) => pairs.filter(({ row }) => row.split === split).map(({ pair }) => pair);
  const aggregator = trainAggregator(part('train'), part('valid'), heads, {
    hidden: phase3.hidden,
    heads: phase3.heads,
    epochs: phase3.epochs,
    learningRate: phase3.learning_rate,
    weightDecay: phase3.weight_decay,
    seed,
  });
  const valid = part('valid').flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const scores = heads.map((head, k) =>
    standardised(valid, (u) =>
      headScore(head, u.subarray(k * head.weight.length, (k + 1) * head.weight.length)),
    ),
  );
  const all = (u: Float32Array): number[] => scores.map((score) => score(u));
  return {
    reward: standardised(valid, (u) => aggregate(aggregator, u)),
    mean_of_scores: (u) => mean(all(u)),
    worst_case: (u) => Math.min(...all(u)),
    uncertainty_weighted: (u) => uncertaintyWeighted(all(u)),
    overall_expert: (u) => scores[0]?.(u) ?? NaN,
  };
}

type Rule = (u: Float32Array) => number;

/** mean - lambda variance (UWO). */
export function uncertaintyWeighted(rewards: readonly number[]): number {
  const center = mean(rewards);
  return center - LAMBDA * mean(rewards.map((reward) => (reward - center) ** 2));
}

/** Their mean. */
export function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** A rule in units of its standard deviation on validation, 0 at its mean there. */
function standardised(valid: readonly Float32Array[], rule: Rule): Rule {
  const values = valid.map(rule);
  const center = mean(values);
  const deviation = Math.sqrt(mean(values.map((value) => (value - center) ** 2))) + 1e-9;
  return (u) => (rule(u) - center) / deviation;
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

async function headsOf(run: Run, task: number): Promise<ValueHead[]> {
  const own = run.options.recipe.tasks[task];
  const heads: ValueHead[] = [];
  for (const capability of own?.capabilities ?? []) {
    const done = own === undefined ? null : await readUnit(unitFolder(run, { task: own, capability }));
    if (done === null) throw new Error(`${capability.name} is not trained`);
    heads.push(done.head);
  }
  return heads;
}
