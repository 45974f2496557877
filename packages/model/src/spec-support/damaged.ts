import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { goldenExpert } from '@dmoerm/testing';
import { readSafetensors, readTensorF32, writeSafetensors } from '@dmoerm/weights';

/** What becomes of a tensor; null leaves it out. */
export type Change = (
  name: string,
  data: Float32Array,
  shape: number[],
) => { readonly data: Float32Array; readonly shape: number[] } | null;

/** Writes all tensors of a file after a change. */
export async function rewrite(source: string, target: string, change: Change): Promise<void> {
  const { tensors } = await readSafetensors(source);
  const written = await Promise.all(
    [...tensors.values()].map(async (ref) => {
      const changed = change(ref.name, Float32Array.from(await readTensorF32(ref)), [...ref.shape]);
      return changed === null ? [] : [{ name: ref.name, ...changed }];
    }),
  );
  await writeSafetensors(target, written.flat());
}

/** A copy of the golden expert `trl-lora` at `copy`, with changed tensors. */
export async function damaged(copy: string, change: Change): Promise<string> {
  cpSync(goldenExpert('trl-lora'), copy, { recursive: true });
  const file = 'adapter_model.safetensors';
  await rewrite(join(goldenExpert('trl-lora'), file), join(copy, file), change);
  return copy;
}

/** Leaves tensors as they are. */
export const same: Change = (_, data, shape) => ({ data, shape });
/** Leaves out the score head. */
export const headless: Change = (name, data, shape) => (name.includes('score') ? null : { data, shape });
