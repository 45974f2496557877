import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { corrupt, DmoermError } from '@dmoerm/core';
import { openAdapter, openBase, readSafetensors, readTensorF32, type ModelConfig } from '@dmoerm/weights';
import { exists, resolveBase } from './cache';
import { canonicalJson, sha256 } from './digest';
import { MANIFEST_FILE, verifyFiles } from './files';
import { checkPlan } from './plan-rules';
import { parseManifest, type BundleTask, type Manifest } from './manifest';

/** A verified bundle on disk. */
export interface Bundle {
  /** SHA-256 of the canonical manifest, which holds every file's SHA-256. */
  readonly revision: string;
  readonly manifest: Manifest;
  /** Absolute. */
  readonly directory: string;
  /** The base as `openBase` and `openTokenizer` take it. */
  readonly basePath: string;
  readonly baseDigest: string;
  readonly taskNames: readonly string[];
  /** @throws DmoermError NOT_FOUND, reason `UNKNOWN_TASK`. */
  task(name: string): BundleTask;
  /** Absolute path of a file or folder of the manifest. */
  file(path: string): string;
}

/** Where bundles and bases are looked for. */
export interface OpenOptions {
  readonly cacheDir: string;
}

/** Bundles that the repository carries. */
const KNOWN_BUNDLES_DIR = join(__dirname, '..', '..', '..', 'bundles');

/** Bytes of a manifest's files whose path begins with `prefix`. */
export function bytesUnder({ files }: Manifest, prefix: string): number {
  return Object.entries(files)
    .filter(([path]) => path.startsWith(prefix))
    .reduce((sum, [, { bytes }]) => sum + bytes, 0);
}

/** Digest of a manifest. */
export function revisionOf(manifest: Manifest): string {
  return sha256(canonicalJson(manifest));
}

/**
 * Finds a bundle's folder: a directory, a known name (`default`) or a digest (in the cache).
 * @throws DmoermError NOT_FOUND, reason `UNKNOWN_BUNDLE`, with what was looked for.
 */
export async function findBundle(reference: string, { cacheDir }: OpenOptions): Promise<string> {
  const places = [
    resolve(reference),
    join(KNOWN_BUNDLES_DIR, reference),
    join(cacheDir, 'bundles', reference),
  ];
  for (const place of places) if (await exists(join(place, MANIFEST_FILE))) return place;
  throw new DmoermError({
    code: 'NOT_FOUND',
    reason: 'UNKNOWN_BUNDLE',
    field: 'bundle',
    message: `no bundle ${reference}: neither ${places.join(' nor ')} holds a ${MANIFEST_FILE}`,
  });
}

/**
 * Opens a bundle and verifies all of it before anything serves: manifest, files and their digests, base and its digest, heads
 * (shape, finiteness), adapters against the base, plans.
 * @throws DmoermError NOT_FOUND or DATA_LOSS naming the file and field.
 */
export async function openBundle(reference: string, options: OpenOptions): Promise<Bundle> {
  const directory = await findBundle(reference, options);
  const manifest = parseManifest(await readManifest(join(directory, MANIFEST_FILE)));
  await verifyFiles(directory, manifest.files);
  const basePath = await resolveBase(manifest.base, directory, options.cacheDir);
  const bundle = describe(directory, manifest, basePath);
  const { config } = await openBase(basePath);
  if (manifest.max_tokens > config.maxPositions)
    throw corrupt(
      'dmoerm.json: max_tokens',
      'BAD_MANIFEST',
      `max_tokens is beyond the base's ${config.maxPositions} positions`,
    );
  for (const task of manifest.tasks) await verifyTask(bundle, task, config);
  return bundle;
}

async function readManifest(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw corrupt(MANIFEST_FILE, 'BAD_MANIFEST', `${path} is no JSON`);
  }
}

function describe(directory: string, manifest: Manifest, basePath: string): Bundle {
  const taskNames = manifest.tasks.map(({ name }) => name);
  return {
    revision: revisionOf(manifest),
    manifest,
    directory,
    basePath,
    baseDigest: manifest.base.digest,
    taskNames,
    task: (name) => {
      const task = manifest.tasks.find((one) => one.name === name);
      if (task !== undefined) return task;
      throw new DmoermError({
        code: 'NOT_FOUND',
        reason: 'UNKNOWN_TASK',
        field: 'task',
        message: `the bundle has no such task; its tasks are ${taskNames.join(', ')}`,
      });
    },
    file: (path) => join(directory, path),
  };
}

async function verifyTask(bundle: Bundle, task: BundleTask, config: ModelConfig): Promise<void> {
  const k = task.capabilities.length;
  const { tensors } = await readSafetensors(bundle.file(task.heads));
  for (const [name, shape] of Object.entries({
    weight: [k, config.hiddenSize],
    bias: [k],
    embedding_mean: [k, config.hiddenSize],
  })) {
    const ref = tensors.get(name);
    if (ref === undefined || ref.shape.join() !== shape.join())
      throw corrupt(
        `${task.heads}: ${name}`,
        'BAD_HEADS',
        `${task.heads}: ${name} must be [${shape.join(', ')}], it is ${ref === undefined ? 'missing' : `[${ref.shape.join(', ')}]`}`,
      );
    await readTensorF32(ref);
  }
  const layers = task.plan.type === 'top_layers' ? task.plan.layers : config.layerCount;
  if (layers > config.layerCount)
    throw corrupt(
      `tasks: ${task.name}.plan.layers`,
      'BAD_PLAN',
      `the plan names ${layers} layers, the base has ${config.layerCount}`,
    );
  if (task.task_adapter !== null) await openAdapter(bundle.file(task.task_adapter), config);
  for (const { name, adapter, invocation_tokens: tokens } of task.capabilities) {
    if (adapter === null) continue;
    const opened = await openAdapter(bundle.file(adapter), config);
    checkPlan(adapter, opened, task.plan, config);
    if (task.plan.type === 'readout' && opened.invocationTokens?.join() !== tokens.join())
      throw corrupt(
        `tasks: ${task.name}.capabilities.${name}.invocation_tokens`,
        'INVOCATION_MISMATCH',
        `the capability ${name} has the invocation tokens ${tokens.join(', ')}; its adapter was trained for ${opened.invocationTokens?.join(', ')}`,
      );
  }
}
