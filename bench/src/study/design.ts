import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readRecipe, type Recipe } from '@dmoerm/recipe';
import { stringify } from 'yaml';

/** What the study trains; each with several seeds. */
export const RUN_NAMES = [
  'linear_probe',
  'single_rm',
  'top_layers',
  'shuffled_capabilities',
  'readout',
  'full',
] as const;
/** One of them. */
export type RunName = (typeof RUN_NAMES)[number];

/** A run of the study. */
export interface StudyRun {
  readonly name: RunName;
  readonly seed: number;
}

/** Longest conversation, prompts per task, source and capability in training (a third in validation), and in the test. */
export const SIZE = { maxTokens: 512, trainPrompts: 120, testPrompts: 250 };
/** Epochs over the training pairs; the plan `full`, of which one costs about an hour, gets one. */
function epochs(name: RunName): number {
  return name === 'linear_probe' ? 0 : name === 'full' ? 1 : 2;
}
/** Layers of the plan `top_layers`, of 30: also of the single reward model and the probe. */
export const TOP_LAYERS = 6;

const capabilities = (...names: string[]) => [
  { name: 'overall', labels: 'overall', question: 'Good' },
  ...names.map((name) => ({ name, question: `${name.charAt(0).toUpperCase()}${name.slice(1)}` })),
];
/** Tasks with human ratings of capabilities, and harmlessness. The first expert of each learns overall preferences. */
const TASKS = [
  {
    name: 'chat',
    capabilities: capabilities('coherence', 'engagingness', 'naturalness', 'providing_guidance'),
  },
  { name: 'harmlessness', capabilities: capabilities() },
  {
    name: 'objective_qa',
    capabilities: capabilities('detail', 'factuality', 'relevance', 'usefulness'),
  },
  {
    name: 'summarization',
    // Of the others no validation pair fits the tokens.
    capabilities: capabilities('correctness', 'coverage'),
  },
  {
    name: 'text_creation',
    capabilities: capabilities('creativity', 'informativeness', 'naturalness', 'style'),
  },
];
/** Tasks of the study. */
export const TASK_NAMES: readonly string[] = TASKS.map(({ name }) => name);
/** The one task of a model that does not tell tasks apart. */
const ONE = [{ name: 'any', capabilities: capabilities() }];

/** Whether a run has one expert for everything. */
export function isSingle(name: RunName): boolean {
  return name === 'single_rm' || name === 'linear_probe';
}

/** Passes of a candidate through the base that K experts cost (recipe, section 2.4), an expert's own tokens aside. */
export function passes(name: RunName, experts: number): number {
  switch (name) {
    case 'full':
      return experts;
    case 'readout':
    case 'linear_probe':
      return 1;
    default:
      return 1 + (TOP_LAYERS * (experts - 1)) / 30;
  }
}

/** The recipe of a run; `data` holds preferences, capability_pairs and routes. */
export function studyRecipe({ name, seed }: StudyRun, data: string, folder: string): Recipe {
  const single = isSingle(name);
  const plan =
    name === 'full' || name === 'readout' ? { type: name } : { type: 'top_layers', layers: TOP_LAYERS };
  const recipe = {
    name,
    base: 'smollm2-135m',
    seed,
    max_tokens: SIZE.maxTokens,
    data: {
      pairs: ['preferences', 'capability_pairs'].map((one) => join(data, `${one}.jsonl.gz`)),
      routes: [join(data, 'routes.jsonl.gz')],
      licences: 'all',
      max_prompts: SIZE.trainPrompts,
      // A single model has no aggregator to keep prompts for: equal data.
      ...(single ? { single_task: 'any', shares: 'shared' } : {}),
      ...(name === 'shuffled_capabilities' ? { placebo: 'shuffled_capabilities' } : {}),
    },
    plan,
    lora: {
      rank: 32,
      alpha: 32,
      dropout: 0.05,
      targets: name === 'readout' ? ['q_proj', 'k_proj', 'v_proj', 'o_proj'] : ['q_proj', 'v_proj'],
    },
    phase2: { learning_rate: 2e-4, epochs: epochs(name) },
    router: { fallback: single ? 'any' : 'chat' },
    tasks: single ? ONE : TASKS,
  };
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}-${seed}.yaml`);
  writeFileSync(file, stringify(recipe));
  return readRecipe(file);
}
