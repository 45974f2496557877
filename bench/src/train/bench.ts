import { createTrainer, type LearningBatch, type SharingPlan, type Trainer } from '@dmoerm/engine';
import { openBase, type BaseModel } from '@dmoerm/weights';
import { halfBillionBase } from '../model/random-base';
import { linearLayers } from '../model/shape';
import { smollm2Base } from '../model/smollm2';
import { measureGpuPeaks, measurePeaks } from '../peak';
import { TransformersPeer } from '../peers/transformers';
import { progress } from '../progress';
import { compare, judged, median, type BenchRecord, type Goal } from '../records';
import { randomTokens } from '../tokens';
import { takeTurns, type Contestant } from '../turns';

/** What to measure. */
export interface TrainBenchOptions {
  /** Of a step; each has a better and a worse response. */
  readonly prompts: number;
  readonly rounds: number;
  readonly threads: number;
  readonly gpu: boolean;
}

const PROMPT_TOKENS = 128;
const CANDIDATE_TOKENS = 64;
const EXPERTS = 5;
const RANK = 32;
const TOP_LAYERS = 6;
const INVOCATION_TOKENS = 4;
const TARGETS = ['q_proj', 'v_proj'] as const;
const PEER = 'PEFT bf16, an adapter after another';
const SHARE_OF_PEAK: Goal = { bound: 'at least', value: 55 };
const FASTER: Goal = { bound: 'at least', value: 3 };

/** A way to train. */
interface Work {
  readonly name: string;
  readonly plan: SharingPlan;
  readonly experts: number;
  readonly trainBase: boolean;
}

const WORKS: readonly Work[] = [
  { name: 'K=1 full', plan: { type: 'full' }, experts: 1, trainBase: false },
  { name: 'all parameters', plan: { type: 'full' }, experts: 1, trainBase: true },
  { name: `K=${EXPERTS} full`, plan: { type: 'full' }, experts: EXPERTS, trainBase: false },
  {
    name: `K=${EXPERTS} top_layers(${TOP_LAYERS})`,
    plan: { type: 'top_layers', layers: TOP_LAYERS },
    experts: EXPERTS,
    trainBase: false,
  },
  { name: `K=${EXPERTS} readout`, plan: { type: 'readout' }, experts: EXPERTS, trainBase: false },
];

/** Pairs per second and share of the machine's peak of a training step, beside PEFT. */
export async function benchTrain(
  options: TrainBenchOptions,
): Promise<{ records: BenchRecord[]; peers: Record<string, string> }> {
  const { gpu, threads } = options;
  const path = gpu ? await halfBillionBase() : smollm2Base();
  if (path === null) return { records: [], peers: {} };
  const peak = (gpu ? measureGpuPeaks() : measurePeaks(threads)).get('bf16');
  const base = await openBase(path);
  await using peer = await TransformersPeer.start(threads, gpu);
  if (peer !== null) {
    progress('loading the peer');
    await peer.load('base', path, 'bfloat16');
  }
  const records: BenchRecord[] = [];
  for (const work of WORKS) records.push(...(await benchWork(work, base, peer, peak, options)));
  return { records, peers: peer === null ? {} : { transformers: peer.version } };
}

async function benchWork(
  work: Work,
  base: BaseModel,
  peer: TransformersPeer | null,
  peak: number | undefined,
  { prompts, rounds, threads }: TrainBenchOptions,
): Promise<BenchRecord[]> {
  progress(`loading ${work.name}`);
  await using trainer = await openTrainer(work, base, threads);
  const batches = await makeBatches(work, base, trainer, prompts);
  const contestants: Contestant[] = [
    { name: work.name, run: async () => [await step(trainer, work, batches)] },
  ];
  const beside = peer !== null && !work.trainBase ? peer : null;
  const names = Array.from({ length: work.experts }, (_, e) => `e${e}`);
  if (beside !== null) {
    await beside.learners(
      work.name,
      'base',
      Object.fromEntries(names.map((name) => [name, peerConfig(work, base)])),
    );
    const pairs = peerPairs(work, base, prompts);
    contestants.push({ name: PEER, run: async () => [await beside.learn(work.name, names, pairs)] });
  }
  for (const { run } of contestants) await run();
  const seconds = await takeTurns(work.name, contestants, rounds);
  const own = median(seconds.get(work.name) ?? []);
  const other = seconds.get(PEER);
  const speed = (time: number): number => (prompts * work.experts) / time;
  const parameters = { experts: work.experts, prompts, isa: trainer.isa };
  const described = { bench: 'train', case: work.name, parameters };
  const measured = { ...described, metric: 'training, bf16', unit: 'pairs/s', value: speed(own) };
  const value = other === undefined ? null : speed(median(other));
  // All parameters: the peer trains adapters only.
  const records = [
    work.trainBase
      ? judged(measured)
      : compare(measured, { peer: PEER, value }, work.experts > 1 ? FASTER : undefined),
  ];
  const flops = work.plan.type === 'full' ? fullFlops(work, base, prompts) : null;
  if (flops !== null && peak !== undefined)
    records.push(
      judged(
        {
          ...described,
          metric: 'share of peak, forward and backward',
          unit: '%',
          value: (flops / own / peak / 1e9) * 100,
        },
        SHARE_OF_PEAK,
      ),
    );
  return records;
}

async function openTrainer(
  { plan, experts, trainBase }: Work,
  base: BaseModel,
  threads: number,
): Promise<Trainer> {
  const first = plan.type === 'top_layers' ? base.config.layerCount - plan.layers : 0;
  const layers = Array.from({ length: base.config.layerCount - first }, (_, i) => first + i);
  const adapter = trainBase
    ? []
    : layers.flatMap((layer) => TARGETS.map((target) => ({ layer, target, rank: RANK, scale: 1 })));
  const { vocabSize } = base.config;
  return createTrainer(base, {
    plan,
    trainBase,
    threads,
    experts: Array.from({ length: experts }, (_, e) => ({
      adapter,
      invocationTokens:
        plan.type === 'readout' ? [...randomTokens(INVOCATION_TOKENS, vocabSize, `invocation ${e}`)] : [],
    })),
  });
}

/** The same pairs for every expert; the trunk of `top_layers` is computed before, as it is once for all epochs. */
async function makeBatches(
  work: Work,
  base: BaseModel,
  trainer: Trainer,
  prompts: number,
): Promise<LearningBatch[]> {
  const { vocabSize } = base.config;
  const forest = {
    prompts: Array.from({ length: prompts }, (_, p) => randomTokens(PROMPT_TOKENS, vocabSize, `prompt ${p}`)),
    candidates: Array.from({ length: 2 * prompts }, (_, c) => ({
      prompt: c >> 1,
      tokens: randomTokens(CANDIDATE_TOKENS, vocabSize, `candidate ${c}`),
    })),
  };
  const trunk = work.plan.type === 'top_layers' ? await trainer.trunk(forest) : undefined;
  return Array.from({ length: work.experts }, (_, expert) => ({
    expert,
    ...forest,
    pairs: Array.from({ length: prompts }, (_, p) => ({
      first: 2 * p,
      second: 2 * p + 1,
      target: 1,
      weight: 1 / prompts,
    })),
    ...(trunk === undefined ? {} : { trunk }),
  }));
}

/** Seconds of a step of all experts. */
async function step(trainer: Trainer, work: Work, batches: readonly LearningBatch[]): Promise<number> {
  const start = performance.now();
  const together = work.plan.type === 'readout' ? [batches] : batches.map((batch) => [batch]);
  for (const part of together) await trainer.learn(part, 1);
  for (let e = 0; e < work.experts; e++) await trainer.update(e, { learningRate: 1e-5, step: 1 });
  if (work.trainBase) await trainer.update('base', { learningRate: 1e-6, step: 1 });
  return (performance.now() - start) / 1e3;
}

/** PEFT's adapter of the same shape, acting on the same rows. */
function peerConfig({ plan }: Work, base: BaseModel): Record<string, unknown> {
  const { layerCount, vocabSize } = base.config;
  return {
    r: RANK,
    lora_alpha: RANK,
    target_modules: [...TARGETS],
    task_type: 'CAUSAL_LM',
    ...(plan.type === 'top_layers'
      ? { layers_to_transform: Array.from({ length: plan.layers }, (_, i) => layerCount - plan.layers + i) }
      : {}),
    ...(plan.type === 'readout'
      ? { alora_invocation_tokens: [...randomTokens(INVOCATION_TOKENS, vocabSize, 'invocation 0')] }
      : {}),
  };
}

function peerPairs(
  { plan }: Work,
  base: BaseModel,
  prompts: number,
): { readonly first: Int32Array[]; readonly second: Int32Array[] } {
  const { vocabSize } = base.config;
  const tail =
    plan.type === 'readout' ? randomTokens(INVOCATION_TOKENS, vocabSize, 'invocation 0') : new Int32Array(0);
  const sequence = (p: number, c: number): Int32Array =>
    Int32Array.from([
      ...randomTokens(PROMPT_TOKENS, vocabSize, `prompt ${p}`),
      ...randomTokens(CANDIDATE_TOKENS, vocabSize, `candidate ${c}`),
      ...tail,
    ]);
  const all = Array.from({ length: prompts }, (_, p) => p);
  return { first: all.map((p) => sequence(p, 2 * p)), second: all.map((p) => sequence(p, 2 * p + 1)) };
}

/** Linear layers alone, prompts once: forward, and backward to the inputs; to the weights too where they learn. */
function fullFlops({ experts, trainBase }: Work, base: BaseModel, prompts: number): number {
  const rows = prompts * (PROMPT_TOKENS + 2 * CANDIDATE_TOKENS);
  const weights = linearLayers(base.config).reduce((sum, { out, inner }) => sum + out * inner, 0);
  return 2 * weights * base.config.layerCount * rows * experts * (trainBase ? 3 : 2);
}
