import { alphaOf, type ScaleForm } from './peft-scale';
import type { LoraModule } from './types';

type ModuleShape = Pick<LoraModule, 'layer' | 'target' | 'rank' | 'scale'>;

/** What `adapter_config.json` has to say. */
export interface LoraConfigContent {
  readonly modules: readonly ModuleShape[];
  /** Name of the base, for people. */
  readonly baseName: string;
  readonly invocationTokens: readonly number[] | null;
  readonly hasHead: boolean;
  /** Layers of the base. */
  readonly layerCount: number;
}

/** A module's name below the model, e.g. `layers.3.mlp.up_proj`. */
export function moduleName({ layer, target }: Pick<LoraModule, 'layer' | 'target'>): string {
  const room = target === 'gate_proj' || target === 'up_proj' || target === 'down_proj' ? 'mlp' : 'self_attn';
  return `layers.${layer}.${room}.${target}`;
}

/**
 * The value of PEFT's `adapter_config.json` (0.18 and later) for these modules: the most frequent rank and alpha, and a pattern with
 * the full name of each module that differs. Deterministic.
 */
export function peftConfig(content: LoraConfigContent): Record<string, unknown> {
  const { modules, invocationTokens, hasHead } = content;
  const form = scaleForm(modules);
  const ranks = new Map(modules.map((one) => [moduleName(one), one.rank]));
  const alphas = new Map(modules.map((one) => [moduleName(one), alphaOf(one.scale, one.rank, form).alpha]));
  const r = mostFrequent([...ranks.values()]);
  const alpha = mostFrequent([...alphas.values()]);
  return {
    peft_type: 'LORA',
    // PEFT looks for invocation tokens in causal language models only.
    task_type: hasHead && invocationTokens === null ? 'SEQ_CLS' : 'CAUSAL_LM',
    base_model_name_or_path: content.baseName,
    inference_mode: true,
    r,
    lora_alpha: alpha,
    use_rslora: form === 'rslora',
    rank_pattern: patterns(ranks, r),
    alpha_pattern: patterns(alphas, alpha),
    ...placement(modules, content.layerCount),
    alora_invocation_tokens: invocationTokens,
    modules_to_save: hasHead ? ['score'] : null,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    lora_dropout: 0,
  };
}

/** alpha / rank, unless only alpha / sqrt(rank) gives every scale to the last bit. */
function scaleForm(modules: readonly ModuleShape[]): ScaleForm {
  const exact = (form: ScaleForm): boolean =>
    modules.every(({ rank, scale }) => alphaOf(scale, rank, form).exact);
  return !exact('plain') && exact('rslora') ? 'rslora' : 'plain';
}

/** Modules by target and layers where every layer has the same ones, else by full names. */
function placement(modules: readonly ModuleShape[], layerCount: number): Record<string, unknown> {
  const layers = [...new Set(modules.map(({ layer }) => layer))].toSorted((a, b) => a - b);
  const targets = [...new Set(modules.map(({ target }) => target))].toSorted();
  if (layers.length * targets.length !== modules.length)
    return { target_modules: modules.map(moduleName), layers_to_transform: null };
  return { target_modules: targets, layers_to_transform: layers.length === layerCount ? null : layers };
}

function patterns(values: ReadonlyMap<string, number>, usual: number): Record<string, number> {
  const unusual = [...values].filter(([, value]) => value !== usual);
  // Regular expressions that match a name's end from a dot on.
  return Object.fromEntries(unusual.map(([name, value]) => [name.replaceAll('.', '\\.'), value]));
}

/** The first of the most frequent values. */
function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [best] = [...counts].reduce((one, other) => (other[1] > one[1] ? other : one), [1, 0]);
  return best;
}
