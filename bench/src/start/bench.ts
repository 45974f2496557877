import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { WeightType } from '@dmoerm/engine';
import { openBase } from '@dmoerm/weights';
import { halfBillionBase } from '../model/random-base';
import { randomAdapter } from '../model/random-adapter';
import { smollm2Base } from '../model/smollm2';
import { MODELS_DIR } from '../paths';
import { progress } from '../progress';
import type { BenchRecord } from '../records';
import type { StartJob, StartMeasurement, Starts } from './measurement';
import { ADAPTER, describeStarts } from './records';

/** What to measure. */
export interface StartOptions {
  readonly models: readonly StartModel[];
  readonly weights: readonly WeightType[];
  /** Experts whose memory is measured. */
  readonly experts: number;
  readonly rounds: number;
  readonly threads: number;
}

/** Bases that are started. */
export const START_MODELS = ['0.5B', 'SmolLM2-135M'] as const;
export type StartModel = (typeof START_MODELS)[number];

/** Time until an engine is ready, and the memory of its base and of each further expert. */
export async function benchStart(options: StartOptions): Promise<BenchRecord[]> {
  const records: BenchRecord[] = [];
  for (const model of options.models) {
    const path = model === '0.5B' ? await halfBillionBase() : smollm2Base();
    if (path === null) continue;
    const { config } = await openBase(path);
    const adapters: string[] = [];
    for (let index = 0; index < options.experts; index++)
      adapters.push(await randomAdapter(config, { index, topLayers: config.layerCount, ...ADAPTER }));
    for (const weightType of options.weights) {
      const job = { base: path, weightType, threads: options.threads, adapters };
      const starts = await measureStarts(`${model} ${weightType}`, job, options.rounds);
      if (starts !== null) records.push(...describeStarts(model, weightType, config, starts));
    }
  }
  return records;
}

async function measureStarts(
  label: string,
  job: Omit<StartJob, 'cacheDirectory'>,
  rounds: number,
): Promise<Starts | null> {
  await mkdir(MODELS_DIR, { recursive: true });
  const cold: StartMeasurement[] = [];
  const warm: StartMeasurement[] = [];
  for (let round = 0; round < rounds; round++) {
    const cacheDirectory = await mkdtemp(join(MODELS_DIR, 'packed-'));
    try {
      for (const [name, into] of [
        ['cold', cold],
        ['warm', warm],
      ] as const) {
        const measured = await startChild({ ...job, cacheDirectory });
        progress(
          `${label}, round ${round + 1} of ${rounds}, ${name}: ${measured.loadSeconds.toFixed(3)} s (${measured.info.packed})`,
        );
        into.push(measured);
      }
    } catch (error) {
      progress(`${label} is skipped: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    } finally {
      await rm(cacheDirectory, { recursive: true });
    }
  }
  return { cold, warm };
}

async function startChild(job: StartJob): Promise<StartMeasurement> {
  const args = [join(__dirname, 'child.js'), JSON.stringify(job)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as StartMeasurement;
}
