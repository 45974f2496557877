import { groupBy, invalidArgument, createRandom, shuffle } from '@dmoerm/core';
import { hashFraction, mayShip } from '@dmoerm/dataset';
import { capabilityOf, OVERALL, type PairRecord } from './pairs';
import { labelsOf, type Recipe, type RecipeTask } from './recipe';

/** Share of a task's training prompts whose overall preferences train experts (A); the others train the aggregator (C). */
const SHARE_A = 0.6;

/** The pairs of one task. */
export interface TaskPairs {
  readonly task: RecipeTask;
  /** By capability: what its expert learns from (train, of share A) and is stopped by (valid). */
  readonly experts: ReadonlyMap<string, readonly PairRecord[]>;
  /** Overall preferences of share A, and of validation: phase 1. */
  readonly first: readonly PairRecord[];
  /** Overall preferences of share C, of validation and test: phase 3 and the measure of the reward. */
  readonly overall: readonly PairRecord[];
}

/** What of the data was left out, for the report. */
export interface Selection {
  readonly tasks: readonly TaskPairs[];
  /** Rows of tasks or capabilities that the recipe does not have. */
  readonly unused: number;
  /** Rows whose licence does not permit shipping. */
  readonly unlicensed: number;
}

/**
 * Sorts pairs to tasks and experts (recipe, section 2.1, `strict`: experts learn from prompts of share A only, so that the
 * aggregator sees their embeddings of prompts that they have not seen).
 * @throws DmoermError INVALID_ARGUMENT naming the capability that has no training or no validation pairs, or the task
 *   without overall preferences.
 */
export function selectPairs(pairs: readonly PairRecord[], recipe: Recipe): Selection {
  const all = relabel(pairs, recipe);
  const permitted = all.filter((row) => recipe.data.licences === 'all' || mayShip(row));
  const limited = limitPrompts(permitted, recipe.data.max_prompts);
  let used = 0;
  const tasks = recipe.tasks.map((task) => {
    const own = limited.filter((row) => row.task === task.name);
    const labels = new Set([OVERALL, ...task.capabilities.map(labelsOf)]);
    used += own.filter((row) => labels.has(capabilityOf(row))).length;
    return selectTask(
      task,
      own.filter(({ tie }) => !tie),
      sharesOf(recipe),
    );
  });
  return { tasks, unused: limited.length - used, unlicensed: all.length - permitted.length };
}

/** What baselines and controls make of the labels. */
function relabel(pairs: readonly PairRecord[], { data, seed }: Recipe): readonly PairRecord[] {
  const { single_task: task, placebo } = data;
  const own = task === undefined ? pairs : pairs.map((row) => ({ ...row, task }));
  if (placebo === 'none') return own;
  const kinds = groupBy(
    own.filter((row) => row.split !== 'test' && capabilityOf(row) !== OVERALL),
    ({ task: kind, split }) => `${kind}/${split}`,
  );
  const exchanged = new Map<PairRecord, PairRecord>();
  for (const rows of kinds.values()) {
    const labels = shuffle(rows.map(capabilityOf), createRandom(seed));
    rows.forEach((row, i) => exchanged.set(row, { ...row, capability: labels[i] }));
  }
  return own.map((row) => exchanged.get(row) ?? row);
}

/** Whether experts (A) and aggregator (C) may learn from a training pair. */
interface Shares {
  readonly experts: (row: PairRecord) => boolean;
  readonly aggregator: (row: PairRecord) => boolean;
}

function sharesOf({ data }: Recipe): Shares {
  if (data.shares === 'shared') return { experts: () => true, aggregator: () => true };
  const isShareA = ({ prompt_id: id }: PairRecord): boolean => hashFraction(id, 'phase') < SHARE_A;
  return { experts: isShareA, aggregator: (row) => !isShareA(row) };
}

function selectTask(task: RecipeTask, rows: readonly PairRecord[], shares: Shares): TaskPairs {
  const overall = rows.filter((row) => capabilityOf(row) === OVERALL);
  const experts = new Map(
    task.capabilities.map((capability) => {
      const labels = labelsOf(capability);
      const own = rows.filter(
        (row) => capabilityOf(row) === labels && (row.split !== 'train' || shares.experts(row)),
      );
      return [capability.name, own] as const;
    }),
  );
  for (const [name, own] of experts)
    for (const split of ['train', 'valid'] as const)
      if (!own.some((row) => row.split === split))
        throw invalidArgument(
          `tasks.${task.name}.capabilities.${name}`,
          'NO_PAIRS',
          `task ${task.name}, capability ${name}: the data has no ${split} pairs for it; leave the capability out, or name ` +
            'whose labels it learns (`labels`)',
        );
  for (const split of ['train', 'valid'] as const)
    if (!overall.some((row) => row.split === split && (split !== 'train' || shares.aggregator(row))))
      throw invalidArgument(
        `tasks.${task.name}`,
        'NO_PAIRS',
        `task ${task.name}: the data has no overall preferences (without a capability) in ${split} for its aggregator`,
      );
  return {
    task,
    experts,
    first: overall.filter((row) => row.split !== 'train' || shares.experts(row)),
    overall: overall.filter((row) => row.split !== 'train' || shares.aggregator(row)),
  };
}

/** Keeps the prompts with the smallest hashes of each task, source, capability and split; a third of them outside training. */
function limitPrompts(rows: readonly PairRecord[], limit: number | undefined): readonly PairRecord[] {
  if (limit === undefined) return rows;
  const keyOf = (row: PairRecord): string => [row.task, row.source, capabilityOf(row), row.split].join('/');
  const prompts = new Map<string, Set<string>>();
  for (const row of rows) prompts.set(keyOf(row), (prompts.get(keyOf(row)) ?? new Set()).add(row.prompt_id));
  const kept = new Map(
    [...prompts].map(([key, ids]) => {
      const sorted = [...ids].sort((a, b) => hashFraction(a, 'limit') - hashFraction(b, 'limit'));
      const most = key.endsWith('/train') ? limit : Math.ceil(limit / 3);
      return [key, new Set(sorted.slice(0, most))] as const;
    }),
  );
  return rows.filter((row) => kept.get(keyOf(row))?.has(row.prompt_id));
}
