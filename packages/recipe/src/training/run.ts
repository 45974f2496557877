import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { canonicalJson, hashFile, sha256, type BaseReference } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import { createDataReader, mayShip, type RouteRow } from '@dmoerm/dataset';
import { openTokenizer, type OpenedTokenizer } from '@dmoerm/tokenizer';
import { openBase, type BaseModel } from '@dmoerm/weights';
import { makeBase } from '../pretraining/scratch-base';
import { resolveRecipeBase } from './base';
import { readPairs } from './pairs';
import { invocationTokens } from './questions';
import { listUnits, unitName, type Recipe, type RecipeTask, type Unit } from './recipe';
import { selectPairs, type Selection } from './select';
import { readUnit } from './units';
import { ValueCache } from './value-cache';

/** Rows of a training pass: about 0.7 MB each on a 135M base with every layer adapted. */
export const MAX_ROWS = 4096;
/** Between checkpoints, unless the caller says otherwise. */
export const CHECKPOINT_SECONDS = 60;

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
