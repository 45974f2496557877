import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readDataset } from '@dmoerm/dataset';

// Each test starts the whole command in a process of its own.
jest.setTimeout(60_000);

const KEY = 'sk-command-secret-42';
let folder = '';
let server: Server;
let url = '';
let requests = 0;

beforeAll(async () => {
  // The longer response wins; a key that is not ours is refused, and repeated.
  server = createServer((request, response) => {
    requests++;
    let text = '';
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      const { authorization } = request.headers;
      response.writeHead(authorization === `Bearer ${KEY}` ? 200 : 401);
      const user = (JSON.parse(text) as { messages: { content: string }[] }).messages[1]?.content ?? '';
      const [one = '', two = ''] = [...user.matchAll(/begin response.*\n(.*)\n/g)].map(([, shown]) => shown);
      const content = JSON.stringify({ winner: one.length > two.length ? '1' : '2' });
      const choices = [{ finish_reason: 'stop', message: { content } }];
      response.end(JSON.stringify({ choices, error: authorization }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterAll(() => server.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dmoerm-label-'));
  requests = 0;
});

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const pair = (i: number) => ({
  messages: [{ role: 'user', content: `Question ${i}` }],
  chosen: `a long answer ${i}`,
  rejected: `short ${i}`,
  task: 'chat',
  capability: 'proactivity',
  prompt_id: `p${i}`,
  split: 'train',
  source: 'made-up',
  licence: 'CC0-1.0',
});
const input = (): string =>
  write('pairs.jsonl', Array.from({ length: 12 }, (_, i) => JSON.stringify(pair(i))).join('\n'));

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function dmoerm(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const script = join(__dirname, '..', 'bin', 'dmoerm.js');
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env: { PATH, HOME, ...env } }, (error, stdout, stderr) =>
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

const everything = (path: string): string =>
  readdirSync(path)
    .map((file) => readFileSync(join(path, file), 'utf8'))
    .join('\n');

it('labels a file into records that training reads, and says what they are worth', async () => {
  const output = join(folder, 'labels');
  const json = join(folder, 'report');
  const ran = await dmoerm(['label', input(), '--model', 'm', '--output', output, '--json', json], {
    OPENAI_BASE_URL: url,
    OPENAI_API_KEY: KEY,
  });
  expect(ran).toMatchObject({ status: 0, stderr: '' });
  expect(ran.stdout).toMatch(/^chat +proactivity +12 +12 +100 %/m);
  expect(ran.stdout).toMatch(/passed/);
  expect(ran.stdout).toContain('12 labels and 0 ties in labels.jsonl');
  expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({
    complete: true,
    all: { kept: 12, gate: 'passed' },
  });
  expect(requests).toBe(24);
  expect(everything(output) + ran.stdout).not.toContain(KEY);

  const labels = readFileSync(join(output, 'labels.jsonl'));
  for (const name of ['preferences', 'capability_pairs', 'ratings', 'routes'])
    writeFileSync(join(folder, `${name}.jsonl.gz`), gzipSync(name === 'capability_pairs' ? labels : ''));
  const { capabilityPairs } = await readDataset(folder);
  expect(capabilityPairs).toHaveLength(12);
  expect(capabilityPairs[0]).toMatchObject(pair(0));
});

it('stops when the key is refused, and tells neither key nor answer', async () => {
  const output = join(folder, 'labels');
  const wrong = 'sk-not-the-right-one';
  const ran = await dmoerm(['label', input(), '--model', 'm', '--url', url, '--output', output], {
    OPENAI_API_KEY: wrong,
  });
  expect(ran.status).toBe(2);
  expect(ran.stderr).toMatch(/HTTP 401.*OPENAI_API_KEY/);
  expect(ran.stdout + ran.stderr + everything(output)).not.toContain(wrong);
  expect(existsSync(join(output, 'labels.jsonl'))).toBe(false);
});

it('tells what a run would cost without asking', async () => {
  const prices = write(
    'prices.yaml',
    'currency: EUR\nmodels: {m: {input_per_million: 1, output_per_million: 2}}',
  );
  const output = join(folder, 'labels');
  const args = ['label', input(), '--model', 'm', '--output', output, '--dry-run', '--prices', prices];
  const ran = await dmoerm(args, { OPENAI_BASE_URL: url });
  expect(ran.stdout).toMatch(/12 comparisons, 24 questions, 0 of them answered[^]*EUR/);
  expect([requests, existsSync(output)]).toEqual([0, false]);
});

it('refuses wrong use, naming the field and the fix', async () => {
  const file = input();
  const bad = write('bad.jsonl', JSON.stringify({ ...pair(1), capability: 'wit' }));
  const common = ['--output', join(folder, 'labels'), '--model', 'm'];
  const cases: [string[], RegExp][] = [
    [[file, '--output', folder], /--model or set DMOERM_LABEL_MODEL/],
    [[file, ...common], /--url or set OPENAI_BASE_URL/],
    [[file, ...common, '--url', 'ftp://x'], /--url is no http\(s\) address/],
    [[file, ...common, '--url', url, '--budget', '1'], /--budget.*give --prices/],
    [[file, ...common, '--rpm', '0'], /--rpm.*above 0/],
    [[file, ...common, '--extra', '{"n":2}'], /n is set by dmoerm/],
    [[`${file}.missing`, ...common], /cannot read .*missing/],
    [[bad, ...common], /line 1.*no capability "wit".*--taxonomy/],
  ];
  const ran = await Promise.all(cases.map(([args]) => dmoerm(['label', ...args])));
  ran.forEach(({ status, stderr }, i) => {
    expect(stderr.replace(/\s+/g, ' ')).toMatch(cases[i]?.[1] ?? /never/);
    expect(status).toBe(2);
  });
  expect(requests).toBe(0);
});
