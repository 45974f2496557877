import type { WeightType } from '@dmoerm/engine';
import type { ModelConfig } from '@dmoerm/weights';
import { adapterParameters } from '../model/random-adapter';
import { compare, judged, median, type BenchRecord, type Goal, type Measured } from '../records';
import type { Resident, StartMeasurement, Starts } from './measurement';

/** LoRA of the experts: large enough to be told from the allocator's noise. */
export const ADAPTER = { targets: 'all', rank: 32 } as const;

const MIB = 2 ** 20;
/** Of the design, for the 0.5B base, seconds. */
const WARM_LOAD: Goal = { bound: 'at most', value: 2 };
/** Its adapter's bytes only; rows are padded to whole vectors, so that a little more is no miss. */
const FURTHER_EXPERT: Goal = { bound: 'at most', value: 1.1 };

/** Records of one base and type of weights. */
export function describeStarts(
  model: string,
  weights: WeightType,
  config: ModelConfig,
  { cold, warm }: Starts,
): BenchRecord[] {
  const isa = warm[0]?.info.isa ?? 'unknown';
  const common = { bench: 'start', case: `${model} ${weights}`, parameters: { model, weights, isa } };
  const of = (starts: readonly StartMeasurement[], figure: (start: StartMeasurement) => number): number =>
    median(starts.map(figure));
  const load = (start: StartMeasurement): number => start.loadSeconds;
  const warmLoad: Measured = {
    ...common,
    metric: 'load, packed weights mapped',
    unit: 's',
    value: of(warm, load),
  };
  const resident: Measured = {
    ...common,
    metric: 'base, resident',
    unit: 'MiB',
    value: of(warm, ({ resident: { before, base } }) => (base.total - before.total) / MIB),
    note: 'resident memory: after a first evaluation of 64 tokens, mapped files included (processes of one machine share those)',
  };
  const base = of(warm, ({ memory }) => memory.base.baseBytes / MIB);
  const own = of(warm, ({ resident: { before, base } }) => (base.anonymous - before.anonymous) / MIB);
  return [
    judged(warmLoad, model === '0.5B' ? WARM_LOAD : undefined),
    compare(warmLoad, { peer: 'packed and written', value: of(cold, load) }),
    {
      ...common,
      metric: 'first evaluation, 64 tokens',
      unit: 's',
      value: of(warm, ({ firstSeconds }) => firstSeconds),
    },
    compare(resident, { peer: 'engine.memory(): base', value: base }),
    { ...common, metric: 'base, resident and not shared', unit: 'MiB', value: own },
    ...describeExperts(common, config, warm),
  ];
}

/** What each expert after the first adds. */
function describeExperts(
  common: Pick<Measured, 'bench' | 'case' | 'parameters'>,
  config: ModelConfig,
  starts: readonly StartMeasurement[],
): BenchRecord[] {
  const spec = { index: 0, topLayers: config.layerCount, ...ADAPTER };
  // Adapters are float32 beside float32 weights, bfloat16 beside all others.
  const bytes = common.parameters?.['weights'] === 'f32' ? 4 : 2;
  const adapter = { peer: "its adapter's bytes", value: (adapterParameters(config, spec) * bytes) / MIB };
  const perExpert = (name: string, figure: (start: StartMeasurement) => readonly number[]): Measured => ({
    ...common,
    metric: `each further expert, ${name}`,
    unit: 'MiB',
    value: median(starts.map((start) => slope(figure(start)) / MIB)),
  });
  const totals = (experts: readonly Resident[]): number[] => experts.map(({ total }) => total);
  return [
    compare(
      perExpert('engine.memory()', ({ memory }) => memory.experts.map(({ taskBytes }) => taskBytes)),
      adapter,
      FURTHER_EXPERT,
    ),
    compare(
      perExpert('resident', ({ resident }) => totals(resident.experts)),
      adapter,
      FURTHER_EXPERT,
    ),
  ];
}

/** Mean step of a sequence. */
function slope(values: readonly number[]): number {
  return ((values.at(-1) ?? NaN) - (values[0] ?? NaN)) / (values.length - 1);
}
