import type { Bundle } from '@dmoerm/bundle';
import { MLP_MEANS, MLP_SHAPE, encodeMlp } from '@dmoerm/testing';
import { writeSafetensors } from '@dmoerm/weights';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The parts of a bundle that the aggregator reads: task `chat` with a learned aggregator, task `qa` without. */
export async function writeSpecBundle(directory: string, revision: string): Promise<Bundle> {
  const { experts, hiddenSize } = MLP_SHAPE;
  await writeFile(join(directory, 'chat.onnx'), encodeMlp());
  const heads = [{ name: 'embedding_mean', shape: [experts, hiddenSize], data: MLP_MEANS }];
  await writeSafetensors(join(directory, 'heads.safetensors'), heads);
  const capabilities = ['logic', 'tone', 'truth'].map((name, k) => ({
    name,
    score_mean: k,
    score_std: k + 1,
  }));
  return {
    revision,
    manifest: { name: 'spec', files: {} },
    taskNames: ['chat', 'qa'],
    task: (name: string) => ({
      heads: 'heads.safetensors',
      aggregator: name === 'chat' ? 'chat.onnx' : null,
      capabilities,
    }),
    file: (path: string) => join(directory, path),
  } as unknown as Bundle;
}
