import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { goldenBase } from '@dmoerm/testing';
import { CHART } from './chart';

jest.setTimeout(240_000);

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'dmoerm-training-run-'));
const recipe = join(folder, 'recipe.yaml');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NOUNS = ['river', 'house', 'song', 'garden', 'winter', 'bridge'];

/** Pairs whose better response says please; for `short`, the one with fewer words. */
function pairs(): object[] {
  return Array.from({ length: 40 }, (_, i) => {
    const row = {
      messages: [{ role: 'user', content: `Tell me of the ${NOUNS[i % NOUNS.length]} ${i}` }],
      chosen: `please, the ${NOUNS[(i * 5 + 1) % NOUNS.length]}`,
      rejected: `no, the ${NOUNS[(i * 3 + 2) % NOUNS.length]} is what it is`,
      ...{ task: 'chat', prompt_id: `p${i}`, source: 'made-up', licence: 'CC0' },
      split: (['train', 'train', 'train', 'valid', 'test'] as const)[i % 5],
    };
    return [row, { ...row, capability: 'polite' }, { ...row, capability: 'short' }];
  }).flat();
}

beforeAll(() => {
  writeFileSync(
    join(folder, 'pairs.jsonl'),
    pairs()
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  );
  writeFileSync(
    recipe,
    JSON.stringify({
      ...{
        name: 'job',
        base: goldenBase('llama'),
        base_licence: 'Apache-2.0',
        max_tokens: 128,
        weights: 'f32',
      },
      data: { pairs: ['pairs.jsonl'] },
      lora: { rank: 4, alpha: 8 },
      phase1: { method: 'task_lora', learning_rate: 1e-3, epochs: 1, prompts_per_step: 8 },
      phase2: { learning_rate: 1e-2, epochs: 1, prompts_per_step: 8 },
      phase3: { hidden: 4, heads: 2, epochs: 5, learning_rate: 1e-2, weight_decay: 0 },
      tasks: [{ name: 'chat', capabilities: [{ name: 'polite' }, { name: 'short' }] }],
    }),
  );
  mkdirSync(join(folder, 'bin'));
  // What is waited for is looked for more often.
  writeFileSync(join(folder, 'bin', 'sleep'), '#!/bin/sh\nexec /bin/sleep 0.5\n', { mode: 0o755 });
  symlinkSync(resolve(__dirname, '../../apps/cli/bin/dmoerm.js'), join(folder, 'bin', 'dmoerm'));
});

it('the pods of the Jobs, all at once, make the bundle that one process makes, to the bit', async () => {
  const runs = join(folder, 'runs');
  mkdirSync(runs);
  const environment = {
    ...process.env,
    ...{ PATH: `${join(folder, 'bin')}:${process.env['PATH']}`, RUNS: runs, RECIPE: recipe, THREADS: '1' },
    ...{ UNITS: 'chat/task chat/polite chat/short', OUTPUT: join(runs, 'bundle'), METRICS: '127.0.0.1:0' },
  };
  const pod = (script: string, extra: object = {}) =>
    run('sh', [join(CHART, 'files', script)], { env: { ...environment, ...extra }, maxBuffer: 1 << 24 });
  await Promise.all([
    pod('bundle.sh'),
    ...[0, 1, 2].map((index) => pod('unit.sh', { JOB_COMPLETION_INDEX: `${index}` })),
  ]);
  const alone = ['train', recipe, '--run', join(folder, 'alone'), '--threads', '1'];
  await run('dmoerm', alone, { env: environment, maxBuffer: 1 << 24 });
  const revision = async (bundle: string): Promise<string> =>
    (await run('dmoerm', ['bundle', 'verify', bundle], { env: environment })).stdout;
  const made = await revision(join(runs, 'bundle'));
  expect(made).toMatch(/revision [0-9a-f]{64}/);
  expect(made).toBe(await revision(join(folder, 'alone', 'bundle')));
});
