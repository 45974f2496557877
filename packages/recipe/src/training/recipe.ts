import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KNOWN_BASES } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { parseDocument, YAMLError } from 'yaml';
import { z } from 'zod';

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,63}$/, 'must be lower-case letters, digits, _ . or -, at most 64');
const rate = z.number().positive().max(1);
const count = z.int().positive();

const capabilitySchema = z.strictObject({
  name,
  display_name: z.string().min(1).optional(),
  definition: z.string().min(1).optional(),
  /** Whose labels it learns: pairs with this capability, or (`overall`) those without one, of share A. */
  labels: z.string().min(1).optional(),
  /** Plan `readout`: the beginning of a user's next turn, at whose last token the expert reads; default its name. */
  question: z.string().min(1).optional(),
});

const taskSchema = z.strictObject({
  name,
  display_name: z.string().min(1).optional(),
  definition: z.string().min(1).optional(),
  capabilities: z.array(capabilitySchema).min(1).max(64),
});

/** Learning rate, epochs and when to stop; recipe section 2.3. */
const scheduleSchema = z.strictObject({
  learning_rate: rate,
  /** Of heads; default ten times `learning_rate`. */
  head_learning_rate: rate.optional(),
  /** 0: nothing but the linear head that training would begin with. */
  epochs: z.int().nonnegative().default(3),
  prompts_per_step: count.default(16),
  warmup: z.number().min(0).max(1).default(0.03),
  weight_decay: z.number().min(0).max(1).default(0.01),
  clip: z.number().min(0).default(1),
  /** Evaluations without improvement before an expert stops. */
  patience: count.default(5),
});

/** A Llama-shaped decoder with tied embeddings. */
const decoderSchema = z.strictObject({
  vocabulary: z.int().min(300).max(65_536).default(4096),
  hidden: z.int().min(16).max(4096),
  layers: z.int().min(1).max(64),
  heads: count,
  kv_heads: count,
  ffn: count,
  positions: z.int().min(64).default(1024),
});

/** A base that is trained from scratch: on the training texts of the data, then (phase 1) on their preferences. */
const scratchSchema = z.strictObject({
  decoder: decoderSchema,
  language_model: z.strictObject({
    learning_rate: rate.default(1e-3),
    epochs: count.default(4),
    /** Tokens of a sequence: longer texts fall into several. */
    sequence: z.int().min(16).default(256),
    tokens_per_step: z.int().min(256).default(8192),
    weight_decay: z.number().min(0).max(1).default(0.1),
  }),
  /** All parameters, on overall preferences of share A of all tasks; `max_tokens`: default the recipe's. */
  preferences: scheduleSchema.extend({ max_tokens: count.optional() }).optional(),
});

const recipeSchema = z.strictObject({
  name,
  description: z.string().default(''),
  /** A known base, the path of a GGUF file or Hugging Face folder, or what to train from scratch. */
  base: z.union([z.string().min(1), scratchSchema]),
  /** Licence of a base that is given by its path. */
  base_licence: z.string().min(1).default('unknown'),
  seed: z.int().nonnegative().default(1),
  /** Longest training conversation; older turns are dropped, never the response. */
  max_tokens: count.default(1024),
  weights: z.enum(['bf16', 'f32']).default('bf16'),
  data: z.strictObject({
    /** JSON lines of pairs, plain or gzip; relative to the recipe. */
    pairs: z.array(z.string().min(1)).min(1),
    /** JSON lines of prompts with their task, for the router alone: `{"messages", "label", "split", "source", "licence"}`. */
    routes: z.array(z.string().min(1)).default([]),
    /** `permitted`: only rows whose licence permits shipping what learned from them. */
    licences: z.enum(['permitted', 'all']).default('permitted'),
    /** Most training prompts per task and source, those with the smallest hashes; validation: a third. */
    max_prompts: count.optional(),
    /**
     * `strict`: the aggregator learns from prompts (40 %) that no expert has seen; `shared`: experts and aggregator learn from
     * all.
     */
    shares: z.enum(['strict', 'shared']).default('strict'),
    /** Baseline: all pairs belong to this one task, whatever theirs is. */
    single_task: name.optional(),
    /**
     * Control: the pairs of a task exchange their capabilities at random. Experts that still do as well have learned nothing
     * of their capability.
     */
    placebo: z.enum(['none', 'shuffled_capabilities']).default('none'),
  }),
  plan: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('full') }),
      z.strictObject({ type: z.literal('top_layers'), layers: count }),
      z.strictObject({ type: z.literal('readout') }),
    ])
    .default({ type: 'full' }),
  lora: z
    .strictObject({
      rank: z.int().min(1).max(1024).default(32),
      alpha: z.number().positive().default(32),
      dropout: z.number().min(0).max(0.9).default(0.05),
      targets: z
        .array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
        .min(1)
        .default(['q_proj', 'v_proj']),
    })
    .prefault({}),
  /** A task's own adapter on all rows, learned from overall preferences of share A; `none`: experts act on the base. */
  phase1: z
    .discriminatedUnion('method', [
      z.strictObject({ method: z.literal('none') }),
      scheduleSchema.extend({ method: z.literal('task_lora') }),
    ])
    .default({ method: 'none' }),
  phase2: scheduleSchema.prefault({ learning_rate: 1e-4 }),
  phase3: z
    .strictObject({
      hidden: z.int().min(2).default(16),
      heads: count.default(4),
      epochs: count.default(8),
      learning_rate: rate.default(3e-4),
      weight_decay: z.number().min(0).default(0.3),
    })
    .prefault({}),
  router: z
    .strictObject({
      /** Task where no task has `threshold`; default the first. */
      fallback: name.optional(),
      threshold: z.number().min(0).max(1).default(0.3),
      /** Most prompts per task. */
      max_prompts: count.default(1500),
    })
    .prefault({}),
  tasks: z.array(taskSchema).min(1).max(64),
});

/** Everything that decides a training run; see `dmoerm train --help`. */
export type Recipe = z.infer<typeof recipeSchema>;
/** A task of a recipe. */
export type RecipeTask = Recipe['tasks'][number];
/** A capability of a task. */
export type RecipeCapability = RecipeTask['capabilities'][number];
/** A base that is trained from scratch. */
export type Scratch = z.infer<typeof scratchSchema>;
/** Sizes of a decoder. */
export type DecoderConfig = z.infer<typeof decoderSchema>;
/** How a phase learns. */
export type Schedule = z.infer<typeof scheduleSchema>;

/** One thing that is learned by itself: a task's adapter, or an expert. */
export interface Unit {
  readonly task: RecipeTask;
  /** Null: the task's own adapter (phase 1). */
  readonly capability: RecipeCapability | null;
}

/**
 * Reads a recipe; paths in it become absolute.
 * @throws DmoermError INVALID_ARGUMENT naming the field, e.g. `tasks.0.capabilities.1.name`.
 */
export function readRecipe(file: string): Recipe {
  let raw: unknown;
  try {
    const document = parseDocument(readFileSync(file, 'utf8'));
    // What YAML only warns of, such as an unknown tag, is a slip of the pen here.
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw problem;
    raw = document.toJS();
  } catch (error) {
    const message = error instanceof YAMLError ? error.message : `cannot be read: ${String(error)}`;
    throw invalidArgument(file, 'BAD_RECIPE', `${file}: ${message}`);
  }
  const parsed = recipeSchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join('.') ?? '';
    throw invalidArgument(field, 'BAD_RECIPE', `${file}: ${field || 'the recipe'}: ${issue?.message ?? ''}`);
  }
  const recipe = parsed.data;
  refuseRepeats(recipe.tasks, 'tasks');
  recipe.tasks.forEach((task, i) => refuseRepeats(task.capabilities, `tasks.${i}.capabilities`));
  const { fallback } = recipe.router;
  if (fallback !== undefined && !recipe.tasks.some((task) => task.name === fallback))
    throw invalidArgument(
      'router.fallback',
      'BAD_RECIPE',
      `${file}: router.fallback names no task of the recipe`,
    );
  const folder = dirname(resolve(file));
  return {
    ...recipe,
    base:
      typeof recipe.base !== 'string' || Object.hasOwn(KNOWN_BASES, recipe.base)
        ? recipe.base
        : resolve(folder, recipe.base),
    data: {
      ...recipe.data,
      pairs: recipe.data.pairs.map((path) => resolve(folder, path)),
      routes: recipe.data.routes.map((path) => resolve(folder, path)),
    },
  };
}

function refuseRepeats(named: readonly { readonly name: string }[], field: string): void {
  const names = named.map((one) => one.name);
  const at = names.findIndex((one, i) => names.indexOf(one) !== i);
  if (at >= 0) throw invalidArgument(`${field}.${at}.name`, 'BAD_RECIPE', `${names[at]} is there twice`);
}

/** All units in the order of their indices: first the tasks' adapters, if the recipe has any, then the experts. */
export function listUnits({ tasks, phase1 }: Recipe): Unit[] {
  const first = phase1.method === 'none' ? [] : tasks.map((task) => ({ task, capability: null }));
  return [
    ...first,
    ...tasks.flatMap((task) => task.capabilities.map((capability) => ({ task, capability }))),
  ];
}

/** What a unit is called in paths and reports. */
export function unitName({ task, capability }: Unit): string {
  return `${task.name}/${capability?.name ?? 'task'}`;
}

/** Whose labels a capability learns. */
export function labelsOf({ name: own, labels }: RecipeCapability): string {
  return labels ?? own;
}
