import type { Engine, SharingPlan, WeightType } from '@dmoerm/engine';
import { openBase, type BaseModel } from '@dmoerm/weights';
import { openEngine } from '../engine';
import { halfBillionBase } from '../model/random-base';
import { budget, type Budgeted, type Divisible } from '../parts';
import type { LlamaPeer } from '../peers/llama';
import type { TransformersPeer } from '../peers/transformers';
import { progress } from '../progress';
import { compare, median, type BenchRecord, type Measured } from '../records';
import { takeTurns } from '../turns';
import { planGoal } from './goals';
import { LLAMA_WAYS, llamaWorks, startLlama } from './llama';
import { naiveName, openPlan, type OwnPlan } from './own';
import { peftWays, peftWorks, startPeft } from './peft';
import { caseTokens, expertAdapters, planName, type PlanCase } from './work';

/** What to measure. */
export interface PlansOptions {
  readonly cases: readonly PlanCase[];
  readonly plans: readonly SharingPlan[];
  readonly weights: WeightType | 'auto';
  readonly rounds: number;
  /** Longest time for a peer or naive loop in one round, seconds; they measure a part where all takes longer. */
  readonly budgetSeconds: number;
  readonly threads: number;
  readonly gpu: boolean;
}

interface Peers {
  readonly llama: LlamaPeer | null;
  readonly peft: TransformersPeer | null;
}

/** Scores per second of every plan, beside its naive loop, llama.cpp and PEFT. */
export async function benchPlans(
  options: PlansOptions,
): Promise<{ records: BenchRecord[]; peers: Record<string, string> }> {
  const { cases, threads, weights, gpu } = options;
  progress('loading the base and its experts');
  const base = await openBase(await halfBillionBase());
  const experts = Math.max(...cases.map((work) => work.experts));
  const longest = Math.max(...cases.map((work) => work.promptTokens + work.candidateTokens));
  const adapters = await expertAdapters(base, experts);
  await using engine = await openEngine(base, { weightType: weights, threads });
  await using llama = gpu ? null : await startLlama(adapters, longest, threads);
  await using peft = await startPeft(adapters, threads, gpu);
  const records: BenchRecord[] = [];
  if (engine !== null)
    for (const work of cases)
      records.push(...(await benchCase(engine, base, { llama, peft }, work, options)));
  const peers = {
    ...(llama === null ? {} : { 'node-llama-cpp': llama.version }),
    ...(peft === null ? {} : { transformers: peft.version }),
  };
  return { records, peers };
}

async function benchCase(
  engine: Engine,
  base: BaseModel,
  { llama, peft }: Peers,
  work: PlanCase,
  options: PlansOptions,
): Promise<BenchRecord[]> {
  const label = `K=${work.experts} N=${work.candidates}`;
  const tokens = caseTokens(work, base.config.vocabSize);
  const own: OwnPlan[] = [];
  try {
    for (const plan of options.plans) own.push(await openPlan(engine, base, plan, work.experts, tokens));
    const divisible: Divisible[] = [
      ...own.map(({ naive }) => naive),
      ...(llama === null ? [] : llamaWorks(llama, work.experts, tokens)),
      ...(peft === null ? [] : peftWorks(peft, work.experts, tokens, options.gpu)),
    ];
    const budgeted: Budgeted[] = [];
    for (const one of divisible) budgeted.push(await budget(one, options.budgetSeconds));
    const contestants = [
      ...own.map(({ together }) => together),
      ...budgeted.map(({ contestant }) => contestant),
    ];
    const seconds = await takeTurns(label, contestants, options.rounds);
    return describe({ label, engine, work, plans: options.plans, seconds, budgeted, gpu: options.gpu });
  } finally {
    for (const plan of own) await plan[Symbol.asyncDispose]();
  }
}

interface Outcome {
  readonly label: string;
  readonly engine: Engine;
  readonly work: PlanCase;
  readonly plans: readonly SharingPlan[];
  /** By contestant. */
  readonly seconds: ReadonlyMap<string, readonly number[]>;
  readonly budgeted: readonly Budgeted[];
  readonly gpu: boolean;
}

function describe({ label, engine, work, plans, seconds, budgeted, gpu }: Outcome): BenchRecord[] {
  const scores = work.experts * work.candidates;
  const speedOf = (name: string): number | null => {
    const times = seconds.get(name);
    return times === undefined ? null : scores / median(times);
  };
  return plans.flatMap((plan) => {
    const name = planName(plan);
    const { weightType, isa } = engine.info;
    const measured: Measured = {
      bench: 'plans',
      case: `${label} ${name}`,
      parameters: { plan: name, weights: weightType, isa, ...work },
      metric: `scoring, ${weightType} on ${isa}`,
      unit: 'scores/s',
      value: speedOf(name) ?? NaN,
    };
    return [naiveName(plan), ...(gpu ? [] : LLAMA_WAYS), ...peftWays(gpu)].map((way) => {
      const note = budgeted.find(({ contestant }) => contestant.name === way)?.note;
      // Each plan has a naive loop of its own; they share a column.
      const peer = way === naiveName(plan) ? 'naive loop' : way;
      const comparison = { peer, value: speedOf(way), ...(note === undefined ? {} : { note }) };
      return compare(measured, comparison, planGoal(work, plan, peer));
    });
  });
}
