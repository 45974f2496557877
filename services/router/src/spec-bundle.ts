import type { Bundle } from '@dmoerm/bundle';
import { SPEC_FEATURES, SPEC_TASKS, encodeSpecRouter } from '@dmoerm/testing';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The parts of a bundle that the router reads. */
export async function writeSpecBundle(directory: string, revision: string): Promise<Bundle> {
  await writeFile(join(directory, 'router.onnx'), encodeSpecRouter());
  return {
    revision,
    baseDigest: 'base',
    manifest: {
      name: 'spec',
      max_tokens: 512,
      template: { digest: 'template' },
      router: {
        model: 'router.onnx',
        features: SPEC_FEATURES,
        labels: SPEC_TASKS.map(({ name }) => name),
        fallback: { task: 'chat', threshold: 0.6 },
      },
      files: Object.fromEntries(
        SPEC_TASKS.map(({ name }) => [`heads/${name}`, { sha256: `heads of ${name}`, bytes: 1 }]),
      ),
    },
    taskNames: SPEC_TASKS.map(({ name }) => name),
    task: (wanted: string) => {
      const task = SPEC_TASKS.find(({ name }) => name === wanted);
      if (task === undefined) throw new Error('no such task');
      return {
        plan: { type: 'readout' },
        heads: `heads/${task.name}`,
        aggregator: task.learned ? `aggregators/${task.name}` : null,
        capabilities: task.capabilities.map(({ name }, k) => ({ name, score_mean: k, score_std: 2 })),
      };
    },
    file: (path: string) => join(directory, path),
  } as unknown as Bundle;
}
