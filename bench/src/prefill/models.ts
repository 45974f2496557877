import { ggufOf, type GgufType } from '../model/gguf';
import { eightBillionLayers, halfBillionBase } from '../model/random-base';
import { smollm2Base } from '../model/smollm2';
import { peerPython } from '../peers/installed';

/** Models that are measured. */
export const MODEL_NAMES = ['0.5B', 'SmolLM2-135M', '8B, 2 layers'] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

/** Where a model's files are. */
export interface ModelFiles {
  readonly name: ModelName;
  /** For the engine and for transformers. */
  readonly base: string;
  /** For llama.cpp by type of weights; those that the peers' Python writes are left out without it, null if there is none. */
  readonly ggufs: Readonly<Record<string, string>> | null;
}

/** Files of a model, made or fetched when they are missing, for a GPU's peers or the processor's; null, with the reason printed, if it cannot be had. */
export async function modelFiles(name: ModelName, gpu: boolean): Promise<ModelFiles | null> {
  if (name === '0.5B') {
    const base = await halfBillionBase();
    return { name, base, ggufs: gpu ? null : await ggufs('base', base) };
  }
  if (name === '8B, 2 layers') return { name, base: await eightBillionLayers(), ggufs: null };
  const base = smollm2Base();
  if (base === null) return null;
  return { name, base, ggufs: gpu ? null : { ...(await ggufs('requantise', base)), q4_1: base } };
}

async function ggufs(kind: 'base' | 'requantise', path: string): Promise<Record<string, string> | null> {
  if (peerPython() === null) return null;
  const types: readonly GgufType[] = ['bf16', 'q8_0'];
  const files = types.map(async (type) => [type, await ggufOf({ kind, path }, type)] as const);
  return Object.fromEntries(await Promise.all(files));
}
