import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { openBase, readSafetensors, readTensorF32, writeSafetensors, type TensorRef } from '@dmoerm/weights';
import type { Bundle, OpenOptions } from './bundle';
import { createBundle, type BundleSpec } from './create';
import type { ExpertSource } from './expert-source';
import type { BundleTask } from './manifest';
import { checkPlan } from './plan-rules';

/** What an expert becomes in a bundle. */
export interface ExpertPlace {
  readonly task: string;
  readonly capability: string;
  /** For people; default the capability's name. */
  readonly displayName?: string;
  readonly definition?: string;
  /** Of a task that the bundle does not have yet; default `readout` for an activated LoRA, else `full`. */
  readonly plan?: BundleTask['plan'];
  /** Of the expert's score over validation data; default 0 and 1: the score counts as it is. */
  readonly scoreMean?: number;
  readonly scoreStd?: number;
}

/** A new bundle and what became of the task. */
export interface AddedExpert {
  readonly bundle: Bundle;
  readonly newTask: boolean;
  /** Whether the task had a learned aggregator, which the new bundle leaves out: it was learned for fewer experts. */
  readonly droppedAggregator: boolean;
}

/**
 * Makes a new bundle in which `source` is one more expert of a task: its adapter unchanged, a row more in the task's heads. The
 * experts that were there keep their numbers. The reward becomes the mean of the standardised scores, as there is nothing to learn an
 * aggregator from.
 * @throws DmoermError ALREADY_EXISTS for a capability or folder that is there; as `checkPlan`, `createBundle`.
 */
export async function addExpert(
  bundle: Bundle,
  source: ExpertSource,
  place: ExpertPlace,
  directory: string,
  options: OpenOptions,
): Promise<AddedExpert> {
  const { config } = await openBase(bundle.basePath);
  const old = bundle.manifest.tasks.find(({ name }) => name === place.task) ?? null;
  const task = old ?? newTask(place, source);
  refuseExisting(task, place, old === null);
  checkPlan(source.folder, source.adapter, task.plan, config);
  const { files, tasks, provenance, ...rest } = bundle.manifest;
  const folder = freeFolder(`adapters/${place.task}/${place.capability}`, Object.keys(files));
  const changed: BundleTask = {
    ...task,
    aggregator: null,
    calibration: { reward_mean: 0, reward_std: 1, temperature: 1 },
    capabilities: [...task.capabilities, newCapability(place, source, folder)],
  };
  const kept = Object.keys(files).filter((path) => path !== task.heads && path !== task.aggregator);
  const sources = Object.fromEntries(kept.map((path) => [path, bundle.file(path)]));
  for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
    sources[`${folder}/${file}`] = join(source.folder, file);
  const drafts = await mkdtemp(join(tmpdir(), 'dmoerm-heads-'));
  try {
    sources[task.heads] = join(drafts, 'heads.safetensors');
    await writeHeads(sources[task.heads] ?? '', old && bundle.file(old.heads), source, config.hiddenSize);
    const manifest: BundleSpec['manifest'] = {
      ...rest,
      tasks: old === null ? [...tasks, changed] : tasks.map((one) => (one === old ? changed : one)),
      provenance: { ...provenance, imported: [...imported(provenance), record(bundle, place, source)] },
    };
    const made = await createBundle({ manifest, sources }, directory, options);
    const droppedAggregator = task.aggregator !== null;
    return { bundle: made, newTask: old === null, droppedAggregator };
  } finally {
    await rm(drafts, { recursive: true });
  }
}

function newTask({ task, definition, plan }: ExpertPlace, { adapter }: ExpertSource): BundleTask {
  return {
    name: task,
    display_name: task,
    definition: definition ?? task,
    plan: plan ?? { type: adapter.invocationTokens === null ? 'full' : 'readout' },
    task_adapter: null,
    heads: `heads/${task}.safetensors`,
    aggregator: null,
    calibration: { reward_mean: 0, reward_std: 1, temperature: 1 },
    capabilities: [],
  };
}

function refuseExisting(task: BundleTask, place: ExpertPlace, isNew: boolean): void {
  if (task.capabilities.some(({ name }) => name === place.capability))
    throw new DmoermError({
      code: 'ALREADY_EXISTS',
      reason: 'CAPABILITY_EXISTS',
      field: 'capability',
      message: `the task ${task.name} has the capability ${place.capability} already; choose another name`,
    });
  if (!isNew && place.plan !== undefined && JSON.stringify(place.plan) !== JSON.stringify(task.plan))
    throw invalidArgument(
      'plan',
      'TASK_EXISTS',
      `the task ${task.name} has the plan ${task.plan.type}; a plan is chosen for a new task only`,
    );
  if (task.task_adapter !== null)
    throw invalidArgument(
      'task',
      'TASK_ADAPTER',
      `the task ${task.name} has an adapter of its own on all rows, which the expert was not trained with; choose another task`,
    );
}

function newCapability(
  { capability, displayName, definition, scoreMean, scoreStd }: ExpertPlace,
  { adapter }: ExpertSource,
  folder: string,
): BundleTask['capabilities'][number] {
  return {
    name: capability,
    display_name: displayName ?? capability,
    definition: definition ?? capability,
    adapter: folder,
    invocation_tokens: [...(adapter.invocationTokens ?? [])],
    score_mean: scoreMean ?? 0,
    score_std: scoreStd ?? 1,
  };
}

/** A folder of the bundle that no file uses yet. */
function freeFolder(wanted: string, paths: readonly string[]): string {
  const isFree = (folder: string): boolean => !paths.some((path) => path.startsWith(`${folder}/`));
  let folder = wanted;
  for (let i = 2; !isFree(folder); i++) folder = `${wanted}-${i}`;
  return folder;
}

/** The task's heads with one row more; the mean embedding of the new one is not known and matters to learned aggregators only. */
async function writeHeads(
  file: string,
  old: string | null,
  { head }: ExpertSource,
  d: number,
): Promise<void> {
  const tensors = old === null ? null : (await readSafetensors(old)).tensors;
  const before = async (name: string): Promise<Float32Array> =>
    tensors === null ? new Float32Array() : readTensorF32(tensors.get(name) as TensorRef);
  const join = async (name: string, row: Float32Array): Promise<Float32Array> =>
    Float32Array.from([...(await before(name)), ...row]);
  const bias = await join('bias', Float32Array.of(head.bias));
  const k = bias.length;
  await writeSafetensors(file, [
    { name: 'weight', shape: [k, d], data: await join('weight', head.weight) },
    { name: 'bias', shape: [k], data: bias },
    { name: 'embedding_mean', shape: [k, d], data: await join('embedding_mean', new Float32Array(d)) },
  ]);
}

function imported(provenance: Readonly<Record<string, unknown>>): unknown[] {
  const { imported: before } = provenance;
  return Array.isArray(before) ? before : [];
}

function record({ revision }: Bundle, { task, capability }: ExpertPlace, { adapter }: ExpertSource): object {
  return { task, capability, into_revision: revision, head: adapter.head === null ? 'file' : 'adapter' };
}
