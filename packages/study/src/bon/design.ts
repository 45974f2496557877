import type { GoldTask } from '../gold/gold';
import { capabilitiesOf, GOLD_TASKS } from '../gold/gold';

/** How much of everything. */
export interface BonSize {
  /** Prompts per task whose responses are labelled, and those that check the training. */
  readonly trainPrompts: number;
  readonly validPrompts: number;
  /** Pairs per such prompt. */
  readonly pairs: number;
  /** Prompts per task that best-of-n is measured on. */
  readonly testPrompts: number;
  /** Responses per such prompt, N. */
  readonly samples: number;
  /** Longest response and prompt, tokens. */
  readonly newTokens: number;
  readonly promptTokens: number;
  /** Members of ensembles. */
  readonly members: number;
  readonly epochs: number;
  /** Shares of labels that are flipped. */
  readonly noises: readonly number[];
  /** Of the bootstrap over prompts. */
  readonly draws: number;
}

/** Sizes by name. */
export const BON_SIZES = {
  full: {
    trainPrompts: 150,
    validPrompts: 30,
    pairs: 2,
    testPrompts: 16,
    samples: 256,
    newTokens: 32,
    promptTokens: 128,
    members: 5,
    epochs: 2,
    noises: [0.25, 0],
    draws: 2000,
  },
  quick: {
    trainPrompts: 12,
    validPrompts: 16,
    pairs: 3,
    testPrompts: 3,
    samples: 16,
    newTokens: 20,
    promptTokens: 96,
    members: 2,
    epochs: 1,
    noises: [0.25],
    draws: 200,
  },
} as const satisfies Readonly<Record<string, BonSize>>;

/** Layers of the plan `top_layers`, of the decoder's 6. */
const TOP_LAYERS = 2;

/** A proxy to be trained: what it learns from and with how many experts. */
export interface Proxy {
  readonly name: string;
  /** One model for all tasks, one expert. */
  readonly single: boolean;
  readonly seed: number;
  readonly recipe: Readonly<Record<string, unknown>>;
  /** Passes of a candidate through the base, mean over the tasks. */
  readonly passes: number;
  /** Not trained: the mean of these proxies' weights (WARM, arXiv 2401.12187). */
  readonly averageOf: readonly string[];
  /** Whether it is also asked by other routes than its router's. */
  readonly otherRoutes: boolean;
}

const LORA = { rank: 8, alpha: 16, dropout: 0.05, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] };
const overall = { name: 'overall', labels: 'overall', question: 'Good' };
const title = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`;

/** The proxies, in the order in which they are trained. */
export function proxiesOf({ members, epochs }: BonSize): Proxy[] {
  const experts = GOLD_TASKS.map((task) => 1 + capabilitiesOf(task).length);
  const many = experts.reduce((a, b) => a + b, 0) / experts.length;
  const common = { lora: LORA, phase2: { learning_rate: 5e-4, epochs } };
  const single = (name: string, seed: number, own: object = {}): Proxy => ({
    name,
    single: true,
    seed,
    passes: 1,
    averageOf: [],
    otherRoutes: false,
    recipe: {
      ...common,
      plan: { type: 'full' },
      data: { single_task: 'any', shares: 'shared' },
      tasks: [{ name: 'any', capabilities: [overall] }],
      ...own,
    },
  });
  const mixture = (
    name: string,
    plan: { type: string; layers?: number },
    passes: number,
    tasks: readonly object[],
    data: object = {},
  ): Proxy => ({
    name,
    single: false,
    seed: 1,
    passes,
    averageOf: [],
    otherRoutes: name === 'top_layers',
    recipe: { ...common, plan, data, tasks },
  });
  const capable = GOLD_TASKS.map((task) => ({
    name: task.name,
    capabilities: [overall, ...capabilitiesOf(task).map((name) => ({ name, question: title(name) }))],
  }));
  const alike = GOLD_TASKS.map(({ name }, t) => ({
    name,
    capabilities: Array.from({ length: experts[t] ?? 1 }, (_, k) => ({
      name: `overall_${k + 1}`,
      labels: 'overall',
      question: `Good ${k + 1}`,
    })),
  }));
  const top = { type: 'top_layers', layers: TOP_LAYERS };
  const topPasses = 1 + (TOP_LAYERS / 6) * (many - 1);
  return [
    ...Array.from({ length: members }, (_, i) => single(`single-${i + 1}`, i + 1)),
    // As many passes in training as the experts of a mixture make.
    single('single_equal_flops', 1, {
      phase2: { learning_rate: 5e-4, epochs: Math.round(epochs * many), patience: 20 },
    }),
    {
      // Its LoRA is theirs side by side: the mean of their products, with nothing lost.
      ...single('weight_averaged', 1, {
        lora: { ...LORA, rank: members * LORA.rank, alpha: members * LORA.alpha },
      }),
      averageOf: Array.from({ length: members }, (_, i) => `single-${i + 1}`),
    },
    mixture('klora', top, topPasses, alike),
    mixture('top_layers', top, topPasses, capable),
    mixture('readout', { type: 'readout' }, 1, capable),
    mixture('full', { type: 'full' }, many, capable),
    mixture('shuffled_capabilities', top, topPasses, capable, { placebo: 'shuffled_capabilities' }),
  ];
}

/** The task of a name. */
export function goldTask(name: string): GoldTask {
  const task = GOLD_TASKS.find((one) => one.name === name);
  if (task === undefined) throw new Error(`no task ${name}`);
  return task;
}
