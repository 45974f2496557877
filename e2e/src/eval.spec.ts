import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type ItemResult } from '@dmoerm/client';
import { openScorer, type ScoreOutcome } from '@dmoerm/evaluation';
import { createSpecBundle, SPEC_TASKS } from '@dmoerm/testing';
import type { Bundle } from '@dmoerm/bundle';
import { exitStatus, run, serve } from './serve';

jest.setTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-eval-'));
let bundle: Bundle;

beforeAll(async () => void (bundle = await createSpecBundle(join(folder, 'bundle'), folder)));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prompts = SPEC_TASKS.map(({ name, word }) => ({
  task: name,
  messages: [{ role: 'user' as const, content: `${word}, why do rivers bend?` }],
  responses: ['because of sand', 'water cuts the outer bank', 'nobody knows'],
}));

it('evaluation gives the rewards of the mesh, to the bit', async () => {
  const served = await serve(bundle.directory, folder);
  const client = createClient({ address: served.addresses.router });
  const results = await client.batchScore(
    prompts.map(({ messages, responses }) => ({
      prompt: { type: 'conversation', messages },
      candidates: responses,
    })),
  );
  client.close();
  served.child.kill('SIGTERM');
  expect(await exitStatus(served.child)).toBe(0);

  await using scorer = await openScorer(bundle, {
    cache: join(folder, 'scores'),
    truncation: 'reject',
    engine: { threads: 1 },
  });
  const decisions = await scorer.route(
    prompts.map(({ messages }) => ({ type: 'conversation' as const, messages })),
  );
  await scorer.score(prompts);
  prompts.forEach(({ task, messages, responses }, i) => {
    const result = results[i] as Extract<ItemResult, { type: 'scored' }>;
    expect(decisions[i]).toMatchObject({ assignments: [{ task: result.route?.task }] });
    expect(decisions[i]?.distribution).toEqual(result.route?.distribution);
    const own = responses.map((text) => scorer.outcome(task, messages, text));
    expect(own.map(numbers)).toEqual(result.candidates.map(numbers));
  });
});

/** Reward, scores and token count of the mesh or of evaluation. */
function numbers(one: ScoreOutcome | Extract<ItemResult, { type: 'scored' }>['candidates'][number]): unknown {
  if (one.type === 'error') return null;
  return 'capabilities' in one
    ? [one.reward, one.capabilities.map(({ score }) => score), one.tokenCount]
    : [one.reward, one.scores, one.tokens];
}

it('dmoerm eval writes a report for programs, a page that needs nothing, and a table', async () => {
  const rows = prompts.flatMap(({ task, messages, responses: [a = '', b = '', c = ''] }, t) =>
    [
      [a, b],
      [b, c],
    ].map(([chosen, rejected]) => ({
      ...{ source: 's', licence: 'MIT', task, prompt_id: `${t}`, messages, chosen, rejected },
      ...{ tie: false, split: 'test' },
    })),
  );
  const data = join(folder, 'pairs.jsonl');
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  const [json, html] = [join(folder, 'report.json'), join(folder, 'report.html')];
  const files = ['--data', data, '--json', json, '--html', html, '--cache', join(folder, 'scores')];
  const { child, log } = run(['eval', `spec=${bundle.directory}`, ...files, '--threads', '1']);
  let table = '';
  child.stdout?.on('data', (chunk: Buffer) => (table += chunk.toString()));
  expect([await exitStatus(child), log()]).toEqual([0, '']);
  expect(table).toContain('spec/worst_case');
  const report = JSON.parse(readFileSync(json, 'utf8')) as Record<string, unknown>;
  expect(report).toMatchObject({ evaluation: 1, coverage: { pairs: 6 }, provenance: { split: 'test' } });
  const page = readFileSync(html, 'utf8');
  expect(page.match(/<svg/g)).toHaveLength(4);
  expect(page).not.toMatch(/<script|<link|src=|NaN/);
  for (const text of [JSON.stringify(report), page]) {
    expect(text).not.toContain('rivers');
    expect(text).not.toContain(folder);
  }
});

it('a run that is killed goes on where it was, and ends with the same bytes', async () => {
  const words = 'rivers bend because water cuts the outer bank and leaves sand on the inner one'.split(' ');
  const text = (n: number): string =>
    Array.from({ length: 30 }, (_, i) => words[(n * 5 + i * (1 + (n % 7))) % words.length]).join(' ');
  const rows = Array.from({ length: 45 }, (_, n) => ({
    ...{ source: 's', licence: 'MIT', task: 'chat', prompt_id: `${n}`, split: 'test', tie: false },
    messages: [{ role: 'user', content: `hello ${n} ${text(n)}` }],
    ...{ chosen: text(n + 1), rejected: `${text(n + 2)} so` },
  }));
  const data = join(folder, 'many.jsonl');
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  const evaluate = (name: string, cache: string) => {
    const files = ['--data', data, '--json', join(folder, name), '--cache', join(folder, cache)];
    return run(['eval', `spec=${bundle.directory}`, ...files, '--threads', '1']).child;
  };
  const cached = (cache: string): string => {
    const [own] = existsSync(join(folder, cache)) ? readdirSync(join(folder, cache)) : [];
    const file = join(folder, cache, own ?? '', 'scores.jsonl');
    return own !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  expect(await exitStatus(evaluate('whole.json', 'whole'))).toBe(0);
  const killed = evaluate('killed.json', 'killed');
  while (cached('killed') === '') await new Promise((resolve) => setTimeout(resolve, 5));
  killed.kill('SIGKILL');
  await exitStatus(killed);
  const kept = cached('killed').split('\n').length;
  expect(kept).toBeGreaterThan(1);
  expect(kept).toBeLessThan(cached('whole').split('\n').length);
  expect(existsSync(join(folder, 'killed.json'))).toBe(false);
  expect(await exitStatus(evaluate('killed.json', 'killed'))).toBe(0);
  expect(readFileSync(join(folder, 'killed.json'))).toEqual(readFileSync(join(folder, 'whole.json')));
});

it('wrong use of eval says what is wrong, with status 2', async () => {
  for (const [args, says] of [
    [['eval', bundle.directory, '--data', join(folder, 'absent.jsonl')], 'DATA_MISSING'],
    [['eval', `a=${bundle.directory}`, `a=${bundle.directory}`, '--data', folder], 'REPEATED_ARM'],
    [['eval', bundle.directory, '--data', folder, '--suite', 'nonsense'], 'suite'],
  ] as const) {
    const { child, log } = run(args);
    expect(await exitStatus(child)).toBe(2);
    expect(log()).toContain(says);
  }
});
