/** Measures one start in a process of its own, so that nothing else is in its memory. */
import { readFileSync } from 'node:fs';
import { createEngine, type EngineMemory } from '@dmoerm/engine';
import { openAdapter, openBase } from '@dmoerm/weights';
import { addPlainTask, expert, timeSequence } from '../engine';
import { randomTokens } from '../tokens';
import type { Resident, StartJob, StartMeasurement } from './measurement';

const FIRST_TOKENS = 64;

async function measure(job: StartJob): Promise<StartMeasurement> {
  const { weightType, threads, cacheDirectory } = job;
  const base = await openBase(job.base);
  const before = resident();
  const start = performance.now();
  await using engine = await createEngine(base, { weightType, threads, cacheDirectory });
  const loadSeconds = (performance.now() - start) / 1e3;
  const tokens = randomTokens(FIRST_TOKENS, base.config.vocabSize, 'first');
  const firstSeconds = await timeSequence(engine, await addPlainTask(engine), tokens);
  const baseResident = resident();
  const baseMemory = await engine.memory();
  const experts: Resident[] = [];
  const memories: EngineMemory[] = [];
  for (const folder of job.adapters) {
    const adapter = await openAdapter(folder, base.config);
    const task = { plan: { type: 'full' }, taskAdapter: null, experts: [expert(engine, adapter)] } as const;
    await engine.addTask(task);
    experts.push(resident());
    memories.push(await engine.memory());
  }
  return {
    info: engine.info,
    loadSeconds,
    firstSeconds,
    resident: { before, base: baseResident, experts },
    memory: { base: baseMemory, experts: memories },
  };
}

/** Linux tells mapped files apart; elsewhere all counts as the process's own. */
function resident(): Resident {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    const bytes = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
    return { total: bytes('VmRSS'), anonymous: bytes('RssAnon') };
  } catch {
    const { rss } = process.memoryUsage();
    return { total: rss, anonymous: rss };
  }
}

measure(JSON.parse(process.argv[2] ?? '{}') as StartJob).then(
  (measurement) => process.stdout.write(`${JSON.stringify(measurement)}\n`),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
