import { corrupt, invalidArgument } from '@dmoerm/core';
import { z } from 'zod';
import { readJson } from './file';

/** Ways to initialise A and B that leave the base as it is; others (pissa, olora, loftq ...) change it. */
const HARMLESS_INIT = [true, false, 'gaussian', 'orthogonal', 'eva'] as const;

/** Options without a part in the forward pass of a saved adapter, or that PEFT only needed to find its modules. */
const IRRELEVANT = [
  'arrow_config',
  'auto_mapping',
  'base_model_name_or_path',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'exclude_modules',
  'inference_mode',
  'layers_pattern',
  'loftq_config',
  'lora_dropout',
  'lora_ga_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'target_modules',
  'task_type',
] as const;

const Alpha = z.number().positive().finite();
const Rank = z.int().positive().max(65_536);
const Supported = z.object({
  peft_type: z.literal('LORA'),
  r: Rank,
  lora_alpha: Alpha,
  use_rslora: z.boolean().default(false),
  rank_pattern: z.record(z.string(), Rank).nullish(),
  alpha_pattern: z.record(z.string(), Alpha).nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  alora_invocation_tokens: z.array(z.int().nonnegative()).min(1).nullish(),
  init_lora_weights: z.unknown().optional(),
  bias: z.string().default('none'),
});

/** What `adapter_config.json` says of the forward pass. */
export interface LoraConfig {
  /** Rank and alpha / r (or alpha / sqrt(r)) of a module, e.g. `model.layers.3.mlp.up_proj`. */
  scaleOf(module: string): { readonly rank: number; readonly scale: number };
  /** Whether LoRA acts on this layer. */
  covers(layer: number): boolean;
  readonly invocationTokens: readonly number[] | null;
}

/**
 * Reads `adapter_config.json`. Whatever would change the forward pass and is not computed here is refused by its name, unknown options
 * too.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_ADAPTER`; DATA_LOSS; NOT_FOUND.
 */
export async function readLoraConfig(file: string): Promise<LoraConfig> {
  const raw = await readJson(file, z.record(z.string(), z.unknown()));
  refuseUnsupported(file, raw);
  const config = await readJson(file, Supported);
  const rankOf = matcher(file, 'rank_pattern', config.rank_pattern ?? {}, config.r);
  const alphaOf = matcher(file, 'alpha_pattern', config.alpha_pattern ?? {}, config.lora_alpha);
  const layers = config.layers_to_transform == null ? null : new Set([config.layers_to_transform].flat());
  return {
    scaleOf: (module) => {
      const rank = rankOf(module);
      return { rank, scale: alphaOf(module) / (config.use_rslora ? Math.sqrt(rank) : rank) };
    },
    covers: (layer) => layers === null || layers.has(layer),
    invocationTokens: config.alora_invocation_tokens ?? null,
  };
}

function refuseUnsupported(file: string, raw: Readonly<Record<string, unknown>>): void {
  const refuse = (option: string, instead: string): never => {
    throw invalidArgument(
      `${file}: ${option.slice(0, 80)}`,
      'UNSUPPORTED_ADAPTER',
      `${file}: ${option.slice(0, 80)} is not supported; ${instead}`,
    );
  };
  const { peft_type: type, bias = 'none', init_lora_weights: init = true, modules_to_save: saved } = raw;
  if (type !== 'LORA') refuse(`peft_type ${print(type)}`, 'supported is LORA');
  if (bias !== 'none') refuse(`bias ${print(bias)}`, 'train with bias "none"');
  if (!HARMLESS_INIT.some((known) => known === init))
    refuse(
      `init_lora_weights ${print(init)}`,
      'it changed the base; save the adapter converted to an ordinary LoRA (path_initial_model_for_weight_conversion)',
    );
  if (Array.isArray(saved) && saved.some((module) => module !== 'score' && module !== 'classifier'))
    refuse(`modules_to_save ${print(saved)}`, 'only a score head may be saved with an adapter');
  if (raw['use_dora'] === true)
    refuse('DoRA (use_dora)', 'train an ordinary LoRA, or merge the adapter into the base');
  if (isSet(raw['trainable_token_indices'])) refuse('trainable_token_indices', 'train an ordinary LoRA');
  const known = new Set<string>([...IRRELEVANT, ...Object.keys(Supported.shape)]);
  for (const [option, value] of Object.entries(raw))
    if (!known.has(option) && isSet(value))
      refuse(option, 'train an ordinary LoRA, or merge the adapter into the base');
}

/** Whether an option is switched on: null, false, 0, '' and empty collections are PEFT's ways to say no. */
function isSet(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}

function print(value: unknown): string {
  return (JSON.stringify(value) ?? 'missing').slice(0, 80);
}

/** PEFT's rule: the first pattern that matches the end of a module's name, from its start or after a dot. */
function matcher(
  file: string,
  option: string,
  patterns: Readonly<Record<string, number>>,
  otherwise: number,
): (module: string) => number {
  const compiled = Object.entries(patterns).map(([pattern, value]) => ({
    regex: compile(file, option, pattern),
    value,
  }));
  return (module) => compiled.find(({ regex }) => regex.test(module))?.value ?? otherwise;
}

/** Patterns come from a file: those that could take exponential time on a module's name (repeated groups, many repeats) are refused. */
function compile(file: string, option: string, pattern: string): RegExp {
  const repeats = pattern.replace(/\\./g, '').match(/[*+?{]/g)?.length ?? 0;
  const simple = pattern.length <= 200 && repeats <= 4 && !/\)[*+?{]/.test(pattern);
  try {
    if (simple) return new RegExp(`^(?:.*\\.)?(?:${pattern})$`);
  } catch {
    // Reported below, as every pattern that cannot be used.
  }
  throw corrupt(
    `${file}: ${option}`,
    'BAD_PATTERN',
    `${file}: a key of ${option} is not a simple regular expression: at most 200 characters, 4 repeats, no repeated groups`,
  );
}
