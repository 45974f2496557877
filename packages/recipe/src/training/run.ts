import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { basename, join } from 'node:path';
import { canonicalJson, hashFile, sha256, type BaseReference } from '@dmoerm/bundle';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { createDataReader, mayShip, type RouteRow } from '@dmoerm/dataset';
import { createTrainer, readLearned, type LearnerSpec, type Trainer } from '@dmoerm/engine';
import { openTokenizer, type OpenedTokenizer } from '@dmoerm/tokenizer';
import { openAdapter, openBase, type BaseModel } from '@dmoerm/weights';
import { invocationTokens } from './questions';
import { makeBase } from '../pretraining/scratch-base';
import { resolveRecipeBase } from './base';
import { encodePairs, pairRenderer, type Encoded } from './encode';
import { learn, type Learner } from './learn';
import { readPairs, type PairRecord } from './pairs';
import { fitProbeHeads } from './probe-head';
import { listUnits, unitName, type Recipe, type RecipeTask, type Unit } from './recipe';
import { selectPairs, type Selection, type TaskPairs } from './select';
import { initialiseLora, loraShapes, putHead, readUnit, writeUnit, type UnitResult } from './units';
import { ValueCache } from './value-cache';

/** Rows of a training pass: about 0.7 MB each on a 135M base with every layer adapted. */
export const MAX_ROWS = 4096;
const CHECKPOINT_SECONDS = 60;

/** Where a run happens. */
export interface RunOptions {
  readonly recipe: Recipe;
  /** Holds everything that the run makes. */
  readonly folder: string;
  /** Folder of bases that were pulled. */
  readonly cacheDir: string;
  /** Version of the program, for the record. */
  readonly version: string;
  readonly threads: number;
  readonly checkpointSeconds?: number;
  /** Folder of the states below the first adapted layer, which runs may share; default in `folder`. */
  readonly trunks?: string;
  readonly onStage?: (stage: string) => void;
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** An opened run: recipe, data and base, checked. */
export interface Run {
  readonly options: RunOptions;
  readonly units: readonly Unit[];
  readonly selection: Selection;
  /** Prompts with their task, for the router. */
  readonly routes: readonly RouteRow[];
  readonly digests: Readonly<Record<string, string>>;
  readonly reference: BaseReference;
  readonly basePath: string;
  readonly base: BaseModel;
  readonly opened: OpenedTokenizer;
}

/**
 * Opens a run folder, or begins one. It says what the run is made of, and refuses to go on with something else.
 * @throws DmoermError as `readPairs` and `selectPairs`; FAILED_PRECONDITION, reason `ANOTHER_RUN`.
 */
export async function openRun(options: RunOptions): Promise<Run> {
  const { recipe, folder } = options;
  const { pairs, digests } = await readPairs(recipe.data.pairs);
  const selection = selectPairs(pairs, recipe);
  mkdirSync(folder, { recursive: true });
  const routes: RouteRow[] = [];
  const files: Record<string, string> = {};
  for (const [path, digest] of Object.entries(digests)) files[basename(path)] = digest;
  const reader = createDataReader();
  for (const path of recipe.data.routes) {
    const { rows, sha256: digest } = await reader.routes(path);
    files[basename(path)] = digest;
    for (const row of rows) if (recipe.data.licences === 'all' || mayShip(row)) routes.push(row);
  }
  identify(options, files);
  const { path, reference } = await resolveRecipeBase(recipe, options.cacheDir, (scratch) =>
    makeBase(scratch, {
      ...options,
      selection,
      checkpointSeconds: options.checkpointSeconds ?? CHECKPOINT_SECONDS,
    }),
  );
  const base = await openBase(path);
  const opened = await openTokenizer(path);
  return {
    options,
    units: listUnits(recipe),
    selection,
    routes,
    digests: files,
    reference,
    basePath: path,
    base,
    opened,
  };
}

/** Says in `run.json` what the run is made of, or checks that it is that. */
function identify({ recipe, folder, version }: RunOptions, data: Readonly<Record<string, string>>): void {
  // Where things lie on this machine is no part of what they are; a base by its path is checked by what it gives.
  const base = typeof recipe.base === 'string' ? basename(recipe.base) : recipe.base;
  const identity = {
    recipe: {
      ...recipe,
      base,
      data: {
        ...recipe.data,
        pairs: recipe.data.pairs.map((path) => basename(path)),
        routes: recipe.data.routes.map((path) => basename(path)),
      },
    },
    data,
  };
  const file = join(folder, 'run.json');
  const digest = sha256(canonicalJson(identity));
  if (!existsSync(file)) {
    writeFileSync(file, `${JSON.stringify({ digest, version, ...identity }, null, 2)}\n`);
    return;
  }
  const known = JSON.parse(readFileSync(file, 'utf8')) as { digest: string };
  if (known.digest !== digest)
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'ANOTHER_RUN',
      field: folder,
      message: `${folder} holds a run of another recipe or of other data (see run.json): choose another folder`,
    });
}

/** Folder of a unit. */
export function unitFolder({ options }: Run, unit: Unit): string {
  return join(options.folder, 'units', ...unitName(unit).split('/'));
}

/** Tokens that a capability's expert appends to each candidate. */
export function readoutTokens({ options, opened }: Run, unit: Unit): readonly number[] {
  const { capability } = unit;
  if (capability === null || options.recipe.plan.type !== 'readout') return [];
  const question = capability.question ?? capability.name.replaceAll('_', ' ');
  return invocationTokens(opened, question);
}

/** Trains all units that are not done, tasks in turn; with `index`, that one alone. Returns the results of all that are. */
export async function trainUnits(run: Run, index?: number): Promise<UnitResult[]> {
  const { units, selection } = run;
  if (index !== undefined && units[index] === undefined)
    throw invalidArgument('--index', 'NO_SUCH_UNIT', `the recipe has units 0 to ${units.length - 1}`);
  const wanted = index === undefined ? units : units.filter((_, i) => i === index);
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

/** A task's adapter for its experts: the folder of phase 1, or null. @throws DmoermError FAILED_PRECONDITION if it is missing. */
export async function taskAdapterOf(run: Run, task: RecipeTask): Promise<string | null> {
  if (run.options.recipe.phase1.method === 'none') return null;
  const folder = unitFolder(run, { task, capability: null });
  if ((await readUnit(folder)) !== null) return join(folder, 'adapter');
  throw new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'PHASE_1_MISSING',
    field: unitName({ task, capability: null }),
    message: `the adapter of task ${task.name} is not trained yet: train its unit (\`--index\`) before its experts`,
  });
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
function encodeTask(
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

/** States that enter the first adapted layer, for all experts and epochs; null where every layer is adapted. */
export async function openTrunkCache(
  { options, opened, reference }: Run,
  taskAdapter: string | null,
): Promise<ValueCache | null> {
  const { plan, max_tokens: tokens, weights } = options.recipe;
  if (plan.type !== 'top_layers') return null;
  const adapter =
    taskAdapter === null ? '' : (await hashFile(join(taskAdapter, 'adapter_model.safetensors'))).sha256;
  const key = sha256(
    canonicalJson([reference.digest, opened.template.digest, adapter, plan.layers, tokens, weights]),
  ).slice(0, 16);
  return new ValueCache(join(options.trunks ?? join(options.folder, 'trunks'), key), 'bf16');
}
