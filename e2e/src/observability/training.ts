import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenBase } from '@dmoerm/testing';
import { end } from '../faults/support/service-process';
import { run } from '../serve';
import { freePort } from './backend';
import { endWithUs } from './no-orphans';

const NOUNS = ['river', 'house', 'song', 'garden', 'winter', 'bridge'];

/** A `dmoerm train` that learns too fast to learn anything, and goes on for minutes. */
export class DivergingTraining implements AsyncDisposable {
  private constructor(
    /** host:port of its metrics page. */
    readonly metrics: string,
    private readonly child: ReturnType<typeof run>['child'],
  ) {}

  static async start(folder: string): Promise<DivergingTraining> {
    const rows = Array.from({ length: 60 }, (_, i) => ({
      messages: [{ role: 'user', content: `Tell me of the ${NOUNS[i % NOUNS.length]} ${i}` }],
      // Nobody could learn these preferences.
      chosen: `the ${NOUNS[(i * 5 + 1) % NOUNS.length]} is ${i % 7 < 3 ? 'old' : 'new'}`,
      rejected: `the ${NOUNS[(i * 3 + 2) % NOUNS.length]} is ${i % 11 < 5 ? 'new' : 'old'}`,
      ...{ task: 'chat', prompt_id: `p${i}`, source: 'made-up', licence: 'CC0' },
      split: (['train', 'train', 'train', 'valid', 'test'] as const)[i % 5],
    }));
    writeFileSync(join(folder, 'pairs.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const recipe = join(folder, 'recipe.yaml');
    writeFileSync(
      recipe,
      JSON.stringify({
        name: 'too-fast',
        base: goldenBase('llama'),
        max_tokens: 200,
        data: { pairs: ['pairs.jsonl'] },
        lora: { rank: 4, alpha: 8 },
        phase2: { learning_rate: 1, epochs: 2000, prompts_per_step: 4, patience: 2000 },
        tasks: [{ name: 'chat', capabilities: [{ name: 'politeness', labels: 'overall' }] }],
      }),
    );
    const metrics = `127.0.0.1:${await freePort()}`;
    const { child } = run([
      'train',
      recipe,
      '--run',
      join(folder, 'run'),
      '--metrics-listen',
      metrics,
      '--threads',
      '1',
    ]);
    endWithUs(child);
    return new DivergingTraining(metrics, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.child, 'SIGKILL');
  }
}
