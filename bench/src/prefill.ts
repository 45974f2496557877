import {
  createEngine,
  type Engine,
  type EngineOptions,
  type TaskHandle,
  type WeightType,
} from '@dmoerm/engine';
import { openBase } from '@dmoerm/weights';
import { median, type BenchRecord } from './records';
import { transformersTokensPerSecond } from './transformers-peer';

type Isa = NonNullable<EngineOptions['isa']>;

/** What to measure. */
export interface PrefillOptions {
  /** GGUF of the base. */
  readonly base: string;
  readonly lengths: readonly number[];
  readonly threads: number;
  /** Type and instruction set of the engine's weights; the peer is always float32. */
  readonly weightType: WeightType;
  readonly isa: Isa;
  /** Rounds in which engine and peer take turns. */
  readonly rounds: number;
}

/** Tokens per second of one sequence through all layers, engine and transformers (float32) in turns. */
export async function benchPrefill(options: PrefillOptions): Promise<BenchRecord[]> {
  const base = await openBase(options.base);
  await using engine = await createEngine(base, {
    threads: options.threads,
    weightType: options.weightType,
    isa: options.isa,
  });
  const head = { weight: new Float32Array(base.config.hiddenSize), bias: 0 };
  const task = await engine.addTask({
    plan: { type: 'full' },
    taskAdapter: null,
    experts: [{ adapter: null, invocationTokens: [], head }],
  });
  const records: BenchRecord[] = [];
  for (const tokens of options.lengths) {
    const own: number[] = [];
    const peer: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      own.push(await engineTokensPerSecond(engine, task, tokens));
      const other = transformersTokensPerSecond(options.base, tokens, options.threads, 3);
      if (other !== null) peer.push(other);
    }
    const value = median(own);
    const against =
      peer.length === 0
        ? {}
        : { peer: 'transformers', peer_value: median(peer), ratio: value / median(peer) };
    const name = `SmolLM2-135M ${options.weightType} T=${tokens} threads=${options.threads} isa=${engine.info.isa}`;
    records.push({ bench: 'prefill', case: name, metric: 'prefill', unit: 'tokens/s', value, ...against });
  }
  return records;
}

/** Best of three after one to warm up, as the peer does. */
async function engineTokensPerSecond(engine: Engine, task: TaskHandle, tokens: number): Promise<number> {
  const ids = Int32Array.from({ length: tokens }, (_, i) => 100 + ((i * 7919) % 40_000));
  const request = { prompts: [new Int32Array(0)], candidates: [{ prompt: 0, tokens: ids }] };
  await engine.evaluate(task, request);
  let best = Infinity;
  for (let i = 0; i < 3; i++) best = Math.min(best, (await engine.evaluate(task, request)).engineNs);
  return (tokens / best) * 1e9;
}
