import { existsSync } from 'node:fs';
import type { Trainer } from '@dmoerm/engine';
import { readSafetensors, readTensorF32, writeSafetensors, type NamedTensor } from '@dmoerm/weights';

const FIELDS = ['value', 'first_moment', 'second_moment'] as const;

/** What a learner has learned: its parameters by name. */
export type Snapshot = ReadonlyMap<string, Float32Array>;

/** How far a learner has come. */
export interface LearnerProgress {
  /** Steps taken. */
  readonly step: number;
  /** The best evaluation so far, and the step after which it was; null before the first. */
  readonly best: { readonly step: number; readonly accuracy: number; readonly loss: number } | null;
  /** Evaluations since the best. */
  readonly stale: number;
  readonly done: boolean;
}

/** A run's state between two steps. */
export interface RunState {
  readonly epoch: number;
  /** Chunks of the epoch that are done. */
  readonly chunk: number;
  readonly learners: readonly LearnerProgress[];
  /** Bytes of the metrics that belong to it. */
  readonly metricsBytes: number;
}

/** Values of the parameters of one learner. */
export async function takeSnapshot(trainer: Trainer, learner: number): Promise<Snapshot> {
  const values = new Map<string, Float32Array>();
  for (const { name } of ownParameters(trainer, learner)) values.set(name, await trainer.read(name));
  return values;
}

/** Puts them back. */
export async function putSnapshot(trainer: Trainer, snapshot: Snapshot): Promise<void> {
  for (const [name, values] of snapshot) await trainer.write(name, values);
}

/** The parameters of one learner. */
export function ownParameters(trainer: Trainer, learner: number): Trainer['parameters'] {
  return trainer.parameters.filter(({ name }) => name.startsWith(`experts.${learner}.`));
}

/** Writes everything that the rest of the run depends on; the file appears whole or not at all. */
export async function writeCheckpoint(
  file: string,
  trainer: Trainer,
  best: readonly (Snapshot | null)[],
  state: RunState,
): Promise<void> {
  const tensors: NamedTensor[] = [];
  for (const { name, shape } of trainer.parameters) {
    for (const field of FIELDS)
      tensors.push({ name: `${field}.${name}`, shape, data: await trainer.read(name, field) });
    const data = best.map((snapshot) => snapshot?.get(name)).find((values) => values !== undefined);
    if (data !== undefined) tensors.push({ name: `best.${name}`, shape, data });
  }
  await writeSafetensors(file, tensors, { state: JSON.stringify(state) });
}

/** Puts a checkpoint back; null if there is none. @throws DmoermError DATA_LOSS for a damaged file. */
export async function readCheckpoint(
  file: string,
  trainer: Trainer,
  learners: number,
): Promise<{ readonly state: RunState; readonly best: (Snapshot | null)[] } | null> {
  if (!existsSync(file)) return null;
  const { tensors, metadata } = await readSafetensors(file);
  for (const { name } of trainer.parameters)
    for (const field of FIELDS) {
      const ref = tensors.get(`${field}.${name}`);
      if (ref !== undefined) await trainer.write(name, await readTensorF32(ref), field);
    }
  const best: (Snapshot | null)[] = [];
  for (let learner = 0; learner < learners; learner++) {
    const values = new Map<string, Float32Array>();
    for (const { name } of ownParameters(trainer, learner)) {
      const ref = tensors.get(`best.${name}`);
      if (ref !== undefined) values.set(name, await readTensorF32(ref));
    }
    best.push(values.size > 0 ? values : null);
  }
  return { state: JSON.parse(metadata['state'] ?? '{}') as RunState, best };
}
