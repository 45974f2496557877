import type { Engine, TaskHandle, WeightType } from '@dmoerm/engine';
import { openBase, type BaseModel } from '@dmoerm/weights';
import { expert, openEngine } from '../engine';
import { baseFlops, loraFlops } from '../flops';
import { eightBillionLayers, halfBillionBase } from '../model/random-base';
import { randomExperts } from '../model/random-experts';
import { progress } from '../progress';
import { compare, judged, median, type BenchRecord, type Measured } from '../records';
import { randomTokens } from '../tokens';
import { takeTurns, type Contestant } from '../turns';
import type { AdapterKind, LoraCase } from './cases';

/** What to measure. */
export interface LoraOptions {
  readonly cases: readonly LoraCase[];
  readonly weights: WeightType | 'auto';
  readonly rounds: number;
  readonly threads: number;
  /** On layers of an 8B model, that fill a GPU. */
  readonly gpu: boolean;
}

const PLAIN = 'K base passes';

/** What LoRA costs on top of K base passes in the same engine, beside the operations that it adds. */
export async function benchLora(options: LoraOptions): Promise<BenchRecord[]> {
  progress('loading the base and its experts');
  const base = await openBase(await (options.gpu ? eightBillionLayers() : halfBillionBase()));
  await using engine = await openEngine(base, { weightType: options.weights, threads: options.threads });
  const records: BenchRecord[] = [];
  if (engine === null) return records;
  for (const work of options.cases) records.push(...(await benchCase(engine, base, work, options.rounds)));
  return records;
}

async function benchCase(
  engine: Engine,
  base: BaseModel,
  work: LoraCase,
  rounds: number,
): Promise<BenchRecord[]> {
  const tasks: TaskHandle[] = [];
  const contestants: Contestant[] = [];
  const evaluate = evaluator(engine, base, work);
  const enter = async (name: string, adapters: Parameters<typeof expert>[1][], times: number) => {
    const experts = adapters.map((adapter) => expert(engine, adapter));
    const task = await engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts });
    tasks.push(task);
    await evaluate(task, 1);
    contestants.push({ name, run: async () => [await evaluate(task, times)] });
  };
  // Experts without adapters do not differ, so that the engine would pass them once: the base is passed K times by hand.
  await enter(PLAIN, [null], work.experts);
  for (const kind of work.kinds) {
    const spec = { ...kind, topLayers: base.config.layerCount };
    await enter(kind.name, await randomExperts(base, work.experts, spec), 1);
  }
  const seconds = await takeTurns(label(work), contestants, rounds);
  for (const task of tasks) await engine.removeTask(task);
  return work.kinds.flatMap((kind) => describe(engine, base, work, kind, seconds));
}

/** Seconds, as the caller sees them, of evaluating the case several times. */
function evaluator(engine: Engine, base: BaseModel, work: LoraCase) {
  const { vocabSize } = base.config;
  const request = {
    prompts: [randomTokens(work.promptTokens, vocabSize, 'prompt')],
    candidates: Array.from({ length: work.candidates }, (_, n) => ({
      prompt: 0,
      tokens: randomTokens(work.candidateTokens, vocabSize, `candidate ${n}`),
    })),
  };
  return async (task: TaskHandle, times: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < times; i++) await engine.evaluate([{ task, ...request }]);
    return (performance.now() - start) / 1e3;
  };
}

function describe(
  engine: Engine,
  base: BaseModel,
  work: LoraCase,
  kind: AdapterKind,
  seconds: ReadonlyMap<string, readonly number[]>,
): BenchRecord[] {
  const plain = seconds.get(PLAIN) ?? [];
  const adapted = seconds.get(kind.name) ?? [];
  const plainFlops = work.experts * baseFlops(base.config, work);
  const addedFlops = work.experts * loraFlops(base.config, work, kind);
  const { weightType, isa } = engine.info;
  const { experts, candidates, promptTokens, candidateTokens } = work;
  const common = {
    bench: 'lora',
    case: `${label(work)} ${kind.name}`,
    parameters: {
      ...{ adapter: kind.name, weights: weightType, isa, experts, candidates, promptTokens, candidateTokens },
      gflop: (plainFlops + addedFlops) / 1e9,
    },
  };
  const overhead: Measured = {
    ...common,
    metric: `LoRA over K base passes, ${weightType} on ${isa}`,
    unit: '%',
    // Round by round: what slows the machine down slows neighbours down alike.
    value: (median(adapted.map((time, round) => time / (plain[round] ?? NaN))) - 1) * 100,
  };
  const time: Measured = { ...common, metric: 'time', unit: 's', value: median(adapted) };
  return [
    judged(overhead, kind.goal),
    compare(overhead, { peer: 'operations added', value: (addedFlops / plainFlops) * 100 }),
    compare(time, { peer: PLAIN, value: median(plain) }),
    compare(time, {
      peer: 'by operations',
      value: median(plain) * (1 + addedFlops / plainFlops),
    }),
  ];
}

function label({ experts, candidates, promptTokens, candidateTokens }: LoraCase): string {
  return `K=${experts} N=${candidates} T=${promptTokens}+${candidateTokens}`;
}
