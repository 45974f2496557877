import type { SharingPlan } from '@dmoerm/engine';
import type { Goal } from '../records';
import { planName, type PlanCase } from './work';

/** The case that the design sets goals for. */
export const GOAL_CASE: PlanCase = { experts: 5, candidates: 8, promptTokens: 256, candidateTokens: 256 };

/** Least ratio by plan and peer. */
const GOALS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  full: { 'naive loop': 1.6 },
  'top_layers(6)': { 'naive loop': 4 },
  readout: {
    'naive loop': 7,
    'llama.cpp, prefix cache': 20,
    'PEFT, set_adapter loop': 8,
    'PEFT, mixed batch': 8,
  },
};

/** The goal of a plan against a peer; undefined where there is none. */
export function planGoal(work: PlanCase, plan: SharingPlan, peer: string): Goal | undefined {
  const keys = Object.keys(GOAL_CASE) as (keyof PlanCase)[];
  if (keys.some((key) => work[key] !== GOAL_CASE[key])) return undefined;
  // Peers carry their type of weights: `PEFT bf16, mixed batch`.
  const value = GOALS[planName(plan)]?.[peer.replace(/ (q8_0|bf16|f32)/, '')];
  return value === undefined ? undefined : { bound: 'at least', value };
}
