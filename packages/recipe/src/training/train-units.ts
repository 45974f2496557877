import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { sha256 } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { createTrainer, readLearned, type LearnerSpec, type Trainer } from '@dmoerm/engine';
import { openAdapter } from '@dmoerm/weights';
import type { Encoded } from './encode';
import { encodeTask } from './encode-task';
import { learn, type Learner } from './learn';
import { fitProbeHeads } from './probe-head';
import { unitName, type Unit } from './recipe';
import {
  CHECKPOINT_SECONDS,
  MAX_ROWS,
  openTrunkCache,
  readoutTokens,
  taskAdapterOf,
  unitFolder,
  type Run,
} from './run';
import type { TaskPairs } from './select';
import { initialiseLora, loraShapes, putHead, readUnit, writeUnit, type UnitResult } from './units';
import type { ValueCache } from './value-cache';

/** Trains all units that are not done, tasks in turn; with an index that one alone, with a task's name its own. Returns their results. */
export async function trainUnits(run: Run, only?: number | string): Promise<UnitResult[]> {
  const { units, selection } = run;
  if (typeof only === 'number' && units[only] === undefined)
    throw invalidArgument('--index', 'NO_SUCH_UNIT', `the recipe has units 0 to ${units.length - 1}`);
  const wanted = units.filter(({ task }, i) => only === undefined || only === i || only === task.name);
  for (const pairs of selection.tasks)
    for (const phase of ['task', 'experts'] as const) {
      const own = wanted.filter(
        ({ task, capability }) =>
          task.name === pairs.task.name && (capability === null) === (phase === 'task'),
      );
      const done = await Promise.all(own.map((unit) => readUnit(unitFolder(run, unit))));
      // All of them: the checkpoint is theirs together, and what is done in it costs nothing.
      if (done.includes(null)) await trainTogether(run, pairs, own);
    }
  const results = await Promise.all(wanted.map((unit) => readUnit(unitFolder(run, unit))));
  return results.flatMap((one) => (one === null ? [] : [one.result]));
}

async function trainTogether(run: Run, pairs: TaskPairs, units: readonly Unit[]): Promise<void> {
  const { options, base } = run;
  const { recipe } = options;
  const first = units[0]?.capability === null;
  const plan = first ? ({ type: 'full' } as const) : recipe.plan;
  const encoded = encodeTask(run, pairs, first);
  const learners = units.map((unit): Learner => ({
    index: pairs.task.capabilities.findIndex(({ name }) => name === unit.capability?.name),
    unit: unitName(unit),
  }));
  const numbered = learners.map((learner) => ({ ...learner, index: Math.max(0, learner.index) }));
  requirePairs(encoded, numbered, recipe.max_tokens);
  const taskAdapter = first ? null : await taskAdapterOf(run, pairs.task);
  const firstLayer = plan.type === 'top_layers' ? base.config.layerCount - plan.layers : 0;
  const specs = units.map((unit): LearnerSpec => ({
    adapter: loraShapes(recipe, base.config, firstLayer),
    dropout: recipe.lora.dropout,
    invocationTokens: readoutTokens(run, unit),
  }));
  await using trainer = await createTrainer(base, {
    plan,
    threads: options.threads,
    weightType: recipe.weights,
    taskAdapter: taskAdapter === null ? null : await openAdapter(taskAdapter, base.config),
    experts: specs,
  });
  const name = first ? 'task' : units.length === 1 ? (units[0]?.capability?.name ?? '') : 'experts';
  const skipped = encoded.train.skipped + encoded.valid.skipped;
  const left = skipped === 0 ? '' : `; ${skipped} pairs are longer than max_tokens and left out`;
  options.onStage?.(`${pairs.task.name}, ${name}: ${encoded.train.groups.length} prompts${left}`);
  const trunk = first ? null : await openTrunkCache(run, taskAdapter);
  try {
    await trainWith(run, trainer, {
      pairs,
      units,
      specs,
      learners: numbered,
      encoded,
      trunk,
      label: `${pairs.task.name} ${name}`,
    });
  } finally {
    trunk?.close();
  }
}

/** What `trainWith` trains. */
interface Work {
  readonly pairs: TaskPairs;
  readonly units: readonly Unit[];
  readonly specs: readonly LearnerSpec[];
  readonly learners: readonly Learner[];
  readonly encoded: { readonly train: Encoded; readonly valid: Encoded };
  readonly trunk: ValueCache | null;
  readonly label: string;
}

async function trainWith(run: Run, trainer: Trainer, work: Work): Promise<void> {
  const { options } = run;
  const { recipe } = options;
  const begin = performance.now();
  const schedule =
    work.units[0]?.capability === null && recipe.phase1.method !== 'none' ? recipe.phase1 : recipe.phase2;
  const [train, valid] = [work.encoded.train.groups, work.encoded.valid.groups];
  const own = work.learners.map(({ index }) => index);
  const relevant = <G extends { pairs: ReadonlyMap<number, unknown> }>(groups: readonly G[]): G[] =>
    groups.filter(({ pairs }) => own.some((learner) => pairs.has(learner)));
  for (const [i, { unit }] of work.learners.entries()) await initialiseLora(trainer, i, unit, recipe.seed);
  const heads = await fitProbeHeads({
    trainer,
    learners: work.learners,
    train: relevant(train),
    valid: relevant(valid),
    ownRows: recipe.plan.type === 'readout' && work.units[0]?.capability !== null,
    trunk: work.trunk,
    maxRows: MAX_ROWS,
    onProgress: (done, total) => options.onProgress?.(`${work.label}, probe`, done, total),
  });
  for (const [i, { head }] of heads.entries()) await putHead(trainer, i, head);
  const names = work.units.map(unitName);
  const folder = join(
    options.folder,
    'training',
    `${work.pairs.task.name}-${sha256(names.join(' ')).slice(0, 8)}`,
  );
  const learned = await learn({
    trainer,
    learners: work.learners,
    train,
    valid,
    schedule,
    seed: recipe.seed,
    folder,
    sharedTrunk: recipe.plan.type === 'readout' && work.units[0]?.capability !== null,
    trunk: work.trunk,
    maxRows: MAX_ROWS,
    checkpointSeconds: options.checkpointSeconds ?? CHECKPOINT_SECONDS,
    onProgress: (done, total) => options.onProgress?.(work.label, done, total),
  });
  for (const [i, unit] of work.units.entries()) {
    const one = learned[i];
    const learner = work.learners[i]?.index ?? -1;
    const spec = work.specs[i];
    if (one === undefined || spec === undefined) continue;
    const expert = await readLearned(trainer, i, spec);
    // Products round weights to the type that they are trained in: nothing is lost that counted.
    const type = recipe.weights === 'bf16' ? ('BF16' as const) : ('F32' as const);
    const base = { config: run.base.config, name: run.reference.name, type };
    await writeUnit(unitFolder(run, unit), expert, spec.invocationTokens ?? [], base, {
      ...one,
      probe: heads[i]?.accuracy ?? NaN,
      training_pairs: countPairs(train, learner),
      validation_pairs: countPairs(valid, learner),
      seconds: Math.round((performance.now() - begin) / 1e3 / work.units.length),
    });
  }
}

/** @throws DmoermError INVALID_ARGUMENT, reason `NO_PAIRS`: better now than after hours. */
function requirePairs(
  encoded: Readonly<Record<'train' | 'valid', Encoded>>,
  learners: readonly Learner[],
  maxTokens: number,
): void {
  for (const { index, unit } of learners)
    for (const split of ['train', 'valid'] as const)
      if (countPairs(encoded[split].groups, index) === 0)
        throw invalidArgument(
          'max_tokens',
          'NO_PAIRS',
          `${unit}: every ${split} pair has a response that is too long for max_tokens ${maxTokens}; raise it`,
        );
}

function countPairs(groups: Encoded['groups'], learner: number): number {
  return groups.reduce((sum, { pairs }) => sum + (pairs.get(learner)?.length ?? 0), 0);
}
