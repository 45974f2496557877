import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { goldenBase } from '@dmoerm/testing';
import { exitStatus, run } from './serve';

jest.setTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-train-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NOUNS = ['river', 'house', 'song', 'garden', 'winter', 'bridge'];

/** People who like to be asked: the better response says please. */
function pairs(): object[] {
  return Array.from({ length: 50 }, (_, i) => ({
    messages: [{ role: 'user', content: `Tell me of the ${NOUNS[i % NOUNS.length]} ${i}` }],
    chosen: `please sit down, the ${NOUNS[(i * 5 + 1) % NOUNS.length]} is old`,
    rejected: `no, the ${NOUNS[(i * 3 + 2) % NOUNS.length]} is what it is, go away`,
    task: 'chat',
    prompt_id: `p${i}`,
    split: (['train', 'train', 'train', 'valid', 'test'] as const)[i % 5],
    source: 'made-up',
    licence: 'CC0',
  }));
}

/** Runs a command to its end. */
async function command(
  ...args: readonly string[]
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const { child, log } = run(args);
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const status = await exitStatus(child);
  return { status, stdout, stderr: log() };
}

const recipe = join(folder, 'recipe.yaml');

beforeAll(() => {
  writeFileSync(
    join(folder, 'pairs.jsonl'),
    pairs()
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  );
  writeFileSync(
    recipe,
    [
      'name: polite',
      `base: ${goldenBase('llama')}`,
      'max_tokens: 200',
      'data: {pairs: [pairs.jsonl]}',
      'lora: {rank: 4, alpha: 8}',
      'phase2: {learning_rate: 5.0e-3, epochs: 2, prompts_per_step: 4}',
      'phase3: {hidden: 4, heads: 2, epochs: 20, learning_rate: 0.01, weight_decay: 0}',
      'tasks: [{name: chat, capabilities: [{name: politeness, labels: overall}]}]',
    ].join('\n'),
  );
});

it('a recipe becomes a bundle that scores as it learned, with curves of how it learned', async () => {
  const listed = await command('train', recipe, '--list');
  expect(listed.stdout).toBe('0  chat/politeness\n');
  const trained = await command(
    'train',
    recipe,
    '--run',
    join(folder, 'run'),
    '--json',
    join(folder, 'report.json'),
  );
  expect(trained.status).toBe(0);
  expect(trained.stdout).toContain('chat/politeness');
  const [name = ''] = readdirSync(join(folder, 'run', 'training'));
  expect(readFileSync(join(folder, 'run', 'training', name, 'metrics.svg'), 'utf8')).toMatch(
    /<svg[^]*chat\/politeness/,
  );
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as {
    units: { unit: string }[];
  };
  expect(report.units.map(({ unit }) => unit)).toEqual(['chat/politeness']);

  const input = join(folder, 'in.jsonl');
  const rows = pairs() as { messages: object[]; chosen: string; rejected: string; split: string }[];
  const asked = rows.filter(({ split }) => split === 'test');
  writeFileSync(
    input,
    asked
      .map(
        ({ messages, chosen, rejected }, i) =>
          `${JSON.stringify({ id: `${i}`, messages, candidates: [rejected, chosen] })}\n`,
      )
      .join(''),
  );
  const scored = await command(
    'score',
    input,
    '--bundle',
    join(folder, 'run', 'bundle'),
    '--output',
    'jsonl',
  );
  expect(scored.status).toBe(0);
  const rewards = scored.stdout
    .trim()
    .split('\n')
    .map((line) =>
      (JSON.parse(line) as { candidates: { reward: number }[] }).candidates.map(({ reward }) => reward),
    );
  expect(rewards).toHaveLength(asked.length);
  for (const [worse = NaN, better = NaN] of rewards) expect(better).toBeGreaterThan(worse);

  // The same again costs nothing and gives the same; another recipe does not go on in its folder.
  const again = await command(
    'train',
    recipe,
    '--run',
    join(folder, 'run'),
    '--output',
    join(folder, 'second'),
  );
  expect(again.stdout.split('\n').at(-2)).toBe(trained.stdout.split('\n').at(-2));
  writeFileSync(recipe, readFileSync(recipe, 'utf8').replace('rank: 4', 'rank: 5'));
  const other = await command('train', recipe, '--run', join(folder, 'run'));
  expect(other.status).toBe(2);
  expect(other.stderr).toContain('ANOTHER_RUN');
});

it('shows its curves to Prometheus while it trains, and says where', async () => {
  const { child, log } = run([
    'train',
    recipe,
    '--run',
    join(folder, 'watched'),
    '--metrics-listen',
    '127.0.0.1:0',
  ]);
  const status = exitStatus(child);
  const ended = status.then(() => '');
  let page = '';
  while (!page.includes('dmoerm_training_progress_ratio{') && child.exitCode === null) {
    const [, address] = /metrics: (\S+)/.exec(log()) ?? [];
    if (address === undefined) await Promise.race([once(child.stderr!, 'data'), status]);
    else page = await Promise.race([fetch(address).then((response) => response.text()), ended]);
  }
  for (const name of ['loss', 'learning_rate', 'validation_accuracy', 'examples_total'])
    expect(page).toMatch(
      new RegExp(`^dmoerm_training_${name}\\{unit="chat/politeness",service="train"\\} [\\d.e-]+$`, 'm'),
    );
  expect(await status).toBe(0);
});

it('refuses an address that is none', async () => {
  const refused = await command('train', recipe, '--metrics-listen', 'here');
  expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('HOST:PORT')]);
});
