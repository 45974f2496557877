import type { WeightType } from '@dmoerm/engine';
import { openBase, type BaseModel } from '@dmoerm/weights';
import { baseFlops } from '../flops';
import { measureGpuPeaks, measurePeaks } from '../peak';
import { LlamaPeer } from '../peers/llama';
import { OnnxRuntimePeer } from '../peers/onnx-runtime';
import { TransformersPeer } from '../peers/transformers';
import { VllmPeer } from '../peers/vllm';
import { progress } from '../progress';
import { compare, judged, median, type BenchRecord, type Goal, type Measured } from '../records';
import { randomTokens } from '../tokens';
import { takeTurns, type Contestant } from '../turns';
import { openEngines } from './engines';
import { modelFiles, type ModelName } from './models';
import { PrefillPeers, type Prefiller } from './peers';

/** What to measure. */
export interface PrefillOptions {
  readonly models: readonly ModelName[];
  /** Of the engine. */
  readonly weights: readonly WeightType[];
  /** Tokens. */
  readonly lengths: readonly number[];
  /** Tokens in flight: as many sequences of a length as fit, at least one. */
  readonly inFlight: number;
  readonly rounds: number;
  readonly threads: number;
  readonly gpu: boolean;
}

/** Tokens that a turn passes at least, so that short sequences are timed more often. */
const TURN_TOKENS = 512;
/** Cases of the design's goals: on the processor, and on a GPU. */
const GOAL_CASE = { model: '0.5B', tokens: 512 };
const SHARE_OF_PEAK: Goal = { bound: 'at least', value: 65 };
const GPU_GOAL_CASE = { model: '8B, 2 layers', tokens: 512 };
const SHARE_OF_GPU_PEAK: Goal = { bound: 'at least', value: 50 };

/** Tokens per second of one sequence through all layers. */
export async function benchPrefill(
  options: PrefillOptions,
): Promise<{ records: BenchRecord[]; peers: Record<string, string> }> {
  const { gpu, threads } = options;
  const peaks = gpu ? measureGpuPeaks() : measurePeaks(threads);
  await using llama = gpu ? null : await LlamaPeer.start(threads);
  await using onnx = gpu ? null : await OnnxRuntimePeer.start(threads);
  await using transformers = await TransformersPeer.start(threads, gpu);
  await using vllm = gpu ? await VllmPeer.start() : null;
  const peers = new PrefillPeers(llama, onnx, transformers, vllm, gpu);
  const records: BenchRecord[] = [];
  for (const model of options.models) records.push(...(await benchModel(model, peers, peaks, options)));
  return { records, peers: peers.versions };
}

async function benchModel(
  model: ModelName,
  peers: PrefillPeers,
  peaks: ReadonlyMap<string, number>,
  options: PrefillOptions,
): Promise<BenchRecord[]> {
  const files = await modelFiles(model, options.gpu);
  if (files === null) return [];
  progress(`loading ${model}`);
  const base = await openBase(files.base);
  const { weights, threads, inFlight } = options;
  await using engines = await openEngines(base, { weights, threads, maxRows: Math.max(inFlight, 8192) });
  const own = engines.prefillers;
  const others = await peers.load(files, base, Math.max(...options.lengths));
  const records: BenchRecord[] = [];
  for (const tokens of options.lengths) {
    const sequences = Math.max(1, Math.floor(inFlight / tokens));
    const speeds = await benchLength(model, [...own, ...others], { tokens, sequences }, base, options.rounds);
    records.push(...describe({ model, tokens, sequences, own, others, speeds, base, peaks }));
  }
  return records;
}

/** Tokens per second by name. */
async function benchLength(
  model: ModelName,
  prefillers: readonly Prefiller[],
  { tokens: length, sequences }: { readonly tokens: number; readonly sequences: number },
  base: BaseModel,
  rounds: number,
): Promise<Map<string, number>> {
  const tokens = randomTokens(length, base.config.vocabSize, `prefill ${length}`);
  const repeats = Math.max(1, Math.round(TURN_TOKENS / (length * sequences)));
  const contestants: Contestant[] = prefillers.flatMap(({ name, prefill }) =>
    prefill === null ? [] : [{ name, run: () => prefill(tokens, repeats, sequences) }],
  );
  // The first pass of a length allocates.
  for (const { prefill } of prefillers) await prefill?.(tokens, 1, sequences);
  const seconds = await takeTurns(`${model} T=${label(length, sequences)}`, contestants, rounds);
  return new Map([...seconds].map(([name, times]) => [name, (length * sequences) / median(times)]));
}

interface Outcome {
  readonly model: ModelName;
  readonly tokens: number;
  readonly sequences: number;
  readonly own: readonly Prefiller[];
  readonly others: readonly Prefiller[];
  /** Tokens per second by name. */
  readonly speeds: ReadonlyMap<string, number>;
  readonly base: BaseModel;
  /** GFLOP/s by type. */
  readonly peaks: ReadonlyMap<string, number>;
}

function describe({ model, tokens, sequences, own, others, speeds, base, peaks }: Outcome): BenchRecord[] {
  const goals = isCase(GOAL_CASE, model, tokens) ? speedGoals(speeds) : [];
  return own.flatMap(({ name: weights, isa }) => {
    const value = speeds.get(weights) ?? NaN;
    const common = {
      bench: 'prefill',
      case: `${model} ${weights} T=${label(tokens, sequences)}`,
      parameters: { model, weights, tokens, sequences, ...(isa === undefined ? {} : { isa }) },
    };
    const speed: Measured = { ...common, metric: 'prefill', unit: 'tokens/s', value };
    const comparisons = others.map(({ name: peer }) =>
      compare(
        speed,
        { peer, value: speeds.get(peer) ?? null, ...noteOn(peer) },
        goals.find((goal) => goal.weights === weights && goal.peer === peer)?.goal,
      ),
    );
    const peak = peaks.get(weights) ?? (weights === 'bf16' ? peaks.get('f32') : undefined);
    if (peak === undefined) return comparisons;
    const flops = baseFlops(base.config, { promptTokens: 0, candidateTokens: tokens, candidates: 1 });
    const share: Measured = {
      ...common,
      metric: 'share of peak',
      unit: '%',
      value: (((flops / tokens) * value) / 1e9 / peak) * 100,
    };
    return [
      ...comparisons,
      judged(share, weights === 'bf16' ? shareGoal(model, tokens, isa === 'cuda') : undefined),
    ];
  });
}

function isCase(
  of: { readonly model: string; readonly tokens: number },
  model: string,
  tokens: number,
): boolean {
  return of.model === model && of.tokens === tokens;
}

function shareGoal(model: string, tokens: number, gpu: boolean): Goal | undefined {
  if (gpu) return isCase(GPU_GOAL_CASE, model, tokens) ? SHARE_OF_GPU_PEAK : undefined;
  return isCase(GOAL_CASE, model, tokens) ? SHARE_OF_PEAK : undefined;
}

function label(tokens: number, sequences: number): string {
  return sequences === 1 ? `${tokens}` : `${sequences}x${tokens}`;
}

/** bf16 against the faster type of llama.cpp, int8 against ONNX Runtime's. */
function speedGoals(
  speeds: ReadonlyMap<string, number>,
): { weights: WeightType; peer: string; goal: Goal }[] {
  const [llama] = [...speeds].filter(([name]) => name.startsWith('llama.cpp')).sort((a, b) => b[1] - a[1]);
  return [
    { weights: 'bf16', peer: llama?.[0] ?? 'llama.cpp', goal: { bound: 'at least', value: 2.2 } },
    { weights: 'int8', peer: 'ORT int8', goal: { bound: 'at least', value: 1.4 } },
  ];
}

function noteOn(peer: string): { note?: string } {
  return peer.startsWith('ORT')
    ? {
        note: 'ORT: made-up weights and, for int8, made-up scales: its speed means something, its numbers do not',
      }
    : {};
}
