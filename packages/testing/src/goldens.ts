import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, readTensorF32, type TensorRef } from '@dmoerm/weights';

/** Folder of the committed goldens (written by tools/goldens). */
export const GOLDENS_DIR = join(__dirname, '..', 'goldens');

/** One golden case: inputs of `Engine.evaluate` and what transformers + PEFT say. */
export interface GoldenCase {
  readonly name: string;
  readonly base: string;
  readonly plan:
    { readonly type: 'full' | 'readout' } | { readonly type: 'top_layers'; readonly layers: number };
  readonly task_adapter: string | null;
  readonly experts: readonly {
    readonly adapter: string | null;
    readonly invocation_tokens: readonly number[];
    readonly head: { readonly weight: readonly number[]; readonly bias: number };
  }[];
  readonly prompts: readonly (readonly number[])[];
  readonly candidates: readonly { readonly prompt: number; readonly tokens: readonly number[] }[];
  /** File below GOLDENS_DIR with tensors `embeddings` [N, K, d] and `scores` [N, K]. */
  readonly expected: string;
}

/** All cases. */
export function readGoldenCases(): GoldenCase[] {
  return JSON.parse(readFileSync(join(GOLDENS_DIR, 'cases.json'), 'utf8')) as GoldenCase[];
}

/** A golden case whose adapters and heads, or whose base, are learned: losses and gradients by autograd. */
export interface GoldenGradients extends Omit<GoldenCase, 'expected' | 'task_adapter'> {
  readonly learns_base: boolean;
  readonly pairs: readonly {
    readonly first: number;
    readonly second: number;
    readonly target: number;
    readonly weight: number;
  }[];
  readonly token_weight: number;
  /** By expert. */
  readonly losses: readonly { readonly pair: number; readonly token: number }[];
  /** By the trainer's parameter names: length, and projection on sin(1), sin(2), ... */
  readonly gradients: Readonly<Record<string, readonly [number, number]>>;
}

/** All of them. */
export function readGoldenGradients(): GoldenGradients[] {
  return JSON.parse(readFileSync(join(GOLDENS_DIR, 'gradients.json'), 'utf8')) as GoldenGradients[];
}

/** Greedy continuations of a base, with its own or a task's adapter of all rows. */
export interface GoldenGeneration {
  readonly name: string;
  readonly base: string;
  readonly task_adapter: string | null;
  readonly prompts: readonly (readonly number[])[];
  /** By prompt: tokens, and the log-probability of each. */
  readonly completions: readonly (readonly number[])[];
  readonly log_probs: readonly (readonly number[])[];
}

/** All of them. */
export function readGoldenGeneration(): GoldenGeneration[] {
  return JSON.parse(readFileSync(join(GOLDENS_DIR, 'generation.json'), 'utf8')) as GoldenGeneration[];
}

/** Path of a golden base, as `openBase` takes it: a folder, or its GGUF file. */
export function goldenBase(name: string): string {
  const folder = join(GOLDENS_DIR, 'bases', name);
  if (existsSync(join(folder, 'config.json'))) return folder;
  const gguf = readdirSync(folder).find((file) => file.endsWith('.gguf'));
  return join(folder, gguf ?? 'missing.gguf');
}

/** Folder of a golden adapter. */
export function goldenAdapter(name: string): string {
  return join(GOLDENS_DIR, 'adapters', name);
}

/** What the oracle says of a case. */
export async function readExpected(
  golden: GoldenCase,
): Promise<{ embeddings: Float32Array; scores: Float32Array }> {
  const { tensors } = await readSafetensors(join(GOLDENS_DIR, golden.expected));
  return {
    embeddings: await readTensorF32(tensors.get('embeddings') as TensorRef),
    scores: await readTensorF32(tensors.get('scores') as TensorRef),
  };
}
