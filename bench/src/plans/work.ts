import type { SharingPlan } from '@dmoerm/engine';
import type { BaseModel } from '@dmoerm/weights';
import type { Workload } from '../flops';
import { randomAdapter } from '../model/random-adapter';
import { randomTokens } from '../tokens';

/** K experts over N candidates of one prompt. */
export interface PlanCase extends Workload {
  /** K */
  readonly experts: number;
}

/** Token ids of a case. */
export interface CaseTokens {
  readonly prompt: Int32Array;
  readonly candidates: readonly Int32Array[];
}

/** Random tokens for a case. */
export function caseTokens(work: PlanCase, vocabSize: number): CaseTokens {
  const { promptTokens, candidateTokens, candidates } = work;
  return {
    prompt: randomTokens(promptTokens, vocabSize, 'prompt'),
    candidates: Array.from({ length: candidates }, (_, n) =>
      randomTokens(candidateTokens, vocabSize, `candidate ${n}`),
    ),
  };
}

/** How a plan is named in tables. */
export function planName(plan: SharingPlan): string {
  return plan.type === 'top_layers' ? `top_layers(${plan.layers})` : plan.type;
}

/** Plans that are measured; those of the design's goals with --quick. */
export const PLANS: readonly SharingPlan[] = [
  { type: 'full' },
  { type: 'top_layers', layers: 12 },
  { type: 'top_layers', layers: 6 },
  { type: 'top_layers', layers: 3 },
  { type: 'readout' },
];
export const QUICK_PLANS = PLANS.filter((plan) => plan.type !== 'top_layers' || plan.layers === 6);
/** Tokens that each expert of the readout plan appends to a candidate. */
export const INVOCATION_TOKENS = 4;
/** LoRA of every expert: query and value projections of all layers, or of the plan's top layers. */
export const LORA = { targets: 'qv', rank: 32 } as const;

/** Prompt and candidate in one, for each candidate. */
export function conversations({ prompt, candidates }: CaseTokens): Int32Array[] {
  return candidates.map((candidate) => Int32Array.from([...prompt, ...candidate]));
}

/** Tokens of several sequences. */
export function totalTokens(sequences: readonly Int32Array[]): number {
  return sequences.reduce((sum, { length }) => sum + length, 0);
}

/** Names of K experts in the peers. */
export function expertNames(experts: number): string[] {
  return Array.from({ length: experts }, (_, index) => `${index}`);
}

/** PEFT folders of K experts with their adapter in all layers, by name: what the peers run, whatever our plan is. */
export async function expertAdapters(base: BaseModel, experts: number): Promise<Record<string, string>> {
  const topLayers = base.config.layerCount;
  const folders: Record<string, string> = {};
  for (let index = 0; index < experts; index++)
    folders[index] = await randomAdapter(base.config, { index, topLayers, ...LORA });
  return folders;
}
