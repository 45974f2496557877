import type { Workload } from '../flops';
import type { Targets } from '../model/shape';
import type { Goal } from '../records';

/** A kind of adapter, in all layers. */
export interface AdapterKind {
  readonly name: string;
  readonly targets: Targets;
  readonly rank: number;
  /** For its overhead over K base passes, in percent. */
  readonly goal?: Goal;
}

const atMost = (value: number): Goal => ({ bound: 'at most', value });

const QV: AdapterKind = { name: 'q, v r=32', targets: 'qv', rank: 32, goal: atMost(2) };
const ALL: AdapterKind = { name: 'all linears r=32', targets: 'all', rank: 32, goal: atMost(8) };

/** K experts over N candidates of one prompt, with each kind of adapter. */
export interface LoraCase extends Workload {
  /** K */
  readonly experts: number;
  readonly kinds: readonly AdapterKind[];
}

const REFERENCE: LoraCase = {
  experts: 5,
  candidates: 4,
  promptTokens: 128,
  candidateTokens: 128,
  kinds: [
    QV,
    { ...ALL, name: 'all linears r=8', rank: 8 },
    { ...ALL, name: 'all linears r=16', rank: 16 },
    ALL,
    // Its operations alone are more than the goal.
    { name: 'all linears r=64', targets: 'all', rank: 64 },
  ],
};

/** Every kind of adapter in one case. */
export const QUICK_CASES: readonly LoraCase[] = [{ ...REFERENCE, candidates: 2, promptTokens: 64 }];

const kinds = [QV, ALL];

/** The same, and then K, N and the tokens of a candidate one after the other. */
export const CASES: readonly LoraCase[] = [
  REFERENCE,
  ...[1, 2, 8].map((experts) => ({ ...REFERENCE, experts, kinds })),
  ...[1, 8, 16].map((candidates) => ({ ...REFERENCE, candidates, kinds })),
  ...[32, 512, 1024].map((candidateTokens) => ({ ...REFERENCE, candidateTokens, kinds })),
];

/** On a GPU: about 16k tokens in flight, and K, N and the tokens of a candidate one after the other. */
const GPU_REFERENCE: LoraCase = {
  experts: 5,
  candidates: 12,
  promptTokens: 256,
  candidateTokens: 256,
  kinds: [
    { ...QV, goal: atMost(5) },
    { ...ALL, goal: atMost(5) },
  ],
};

/** The same in one case. */
export const QUICK_GPU_CASES: readonly LoraCase[] = [GPU_REFERENCE];

/** All cases of a GPU. */
export const GPU_CASES: readonly LoraCase[] = [
  GPU_REFERENCE,
  ...[1, 2, 8].map((experts) => ({ ...GPU_REFERENCE, experts, kinds })),
  ...[1, 4, 24].map((candidates) => ({ ...GPU_REFERENCE, candidates, kinds })),
  ...[64, 1024].map((candidateTokens) => ({ ...GPU_REFERENCE, candidateTokens, kinds })),
];
