import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSpecBundle, goldenExpert, TOLERANCES } from '@dmoerm/testing';

const ROOT = join(__dirname, '..', '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'dmoerm-expert-'));
const start = join(folder, 'start');

// Every step is a process of its own: on a busy machine seconds each.
jest.setTimeout(60_000);

beforeAll(async () => {
  await createSpecBundle(start, folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

function dmoerm(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'apps', 'cli', 'bin', 'dmoerm.js'), ...args],
    { encoding: 'utf8' },
  );
  return { status, stdout, stderr };
}

const importing = (expert: string, task: string, ...more: readonly string[]) =>
  dmoerm(
    ...['expert', 'import', goldenExpert(expert), '--bundle', start],
    ...['--task', task, '--capability', 'brevity', ...more],
  );

describe('dmoerm expert', () => {
  it('imports, verifies, exports', () => {
    const [expert, task] = ['trl-alora', 'qa'];
    const bundle = join(folder, `${expert}-bundle`);
    const json = join(folder, `${expert}.json`);
    const imported = importing(expert, task, '--output', bundle, '--json', json);
    expect(imported).toMatchObject({ status: 0, stderr: '' });
    expect(imported.stdout).toMatch(/8 scores of the trainer found again/);
    expect(imported.stdout).toMatch(/reward: the mean of the \d standardised scores/);
    const { revision, check } = JSON.parse(readFileSync(json, 'utf8')) as {
      revision: string;
      check: { difference: number };
    };
    expect(check.difference).toBeLessThan(TOLERANCES.float32Scores);
    expect(dmoerm('bundle', 'verify', bundle)).toMatchObject({
      status: 0,
      stdout: `sound\nrevision ${revision}\n`,
    });
    const out = join(folder, `${expert}-out`);
    expect(dmoerm('expert', 'export', bundle, task, 'brevity', '--output', out)).toMatchObject({ status: 0 });
    expect(readdirSync(out).toSorted()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  });

  it('says what a new task means for routing', () => {
    const { status, stdout } = importing('trl-lora', 'fresh', '--output', join(folder, 'fresh'));
    expect(status).toBe(0);
    expect(stdout).toMatch(/new task fresh \(full\): brevity/);
    expect(stdout).toMatch(/the router does not know fresh/);
    expect(stdout).toMatch(/reward: the score of brevity/);
  });

  it('uses the bundle only with the scores that the trainer saw, or a tolerance that says otherwise', () => {
    const args = ['chat', '--output', join(folder, 'strict'), '--tolerance'];
    expect(importing('trl-lora', ...(args as [string]), '0')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--tolerance.*SCORES_DIFFER/s),
    });
    expect(existsSync(join(folder, 'strict'))).toBe(false);
    expect(importing('trl-lora', ...(args as [string]), '1e-4')).toMatchObject({ status: 0 });
  });

  it('fits the aggregator to pairs', () => {
    const data = join(folder, 'pairs.jsonl');
    const rows = Array.from({ length: 60 }, (_, i) => ({
      messages: [{ role: 'user', content: `question ${i}` }],
      chosen: `answer ${i}`,
      rejected: `a longer and more careful answer ${i}`,
      split: i % 5 === 0 ? 'valid' : 'train',
    }));
    writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
    const { status, stdout } = importing('trl-lora', 'chat', '--output', join(folder, 'fit'), '--data', data);
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/learned from 48 pairs.*of 12 validation pairs/),
    });
    expect(dmoerm('bundle', 'verify', join(folder, 'fit'))).toMatchObject({ status: 0 });
  });

  it.each([
    [['--plan', 'nonsense'], /top_layers:<n>.*BAD_PLAN/],
    [['--plan', 'readout'], /TASK_EXISTS/],
    [['--check', 'nothing.jsonl'], /nothing\.jsonl.*FILE_NOT_FOUND/],
    [['--score-std', '-1'], /score_std.*BAD_MANIFEST/],
    [['--score-mean', 'x'], /x is no number/],
  ])('refuses %j', (more, message) => {
    const output = join(folder, 'refused');
    const { status, stderr } = importing('trl-lora', 'chat', '--output', output, ...more);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(existsSync(output)).toBe(false);
  });
});

it('docs/import.md shows the training script that the golden experts were trained with', () => {
  const script = readFileSync(join(ROOT, 'tools', 'interop', 'train_expert.py'), 'utf8');
  expect(readFileSync(join(ROOT, 'docs', 'import.md'), 'utf8')).toContain('```python\n' + script + '```\n');
});
