import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { label } from './labelling';
import {
  perfect,
  startEndpoint,
  type Asked,
  type FakeEndpoint,
  type Reaction,
} from './spec-support/fake-endpoint';
import { comparisonsOf, folder, optionsFor } from './spec-support/fixtures';

// A child has to start, also on a busy machine.
jest.setTimeout(30_000);

const COMPARISONS = 20;
const QUESTIONS = 2 * COMPARISONS;
let endpoint: FakeEndpoint;
let child: ChildProcess | null = null;
afterEach(async () => {
  child?.kill('SIGKILL');
  await endpoint?.close();
});

/** Labels in a child that is killed the moment its `at`-th request arrives; returns its folder. */
async function killedAt(at: number): Promise<string> {
  const output = folder();
  const react = (one: Asked, number: number): Reaction => {
    if (number !== at) return perfect(one);
    child?.kill('SIGKILL');
    return { type: 'hang' };
  };
  endpoint = await startEndpoint(react);
  const script = join(__dirname, '..', 'dist', 'spec-support', 'run-child.js');
  child = spawn(process.execPath, [script, endpoint.url, output, String(COMPARISONS)], { stdio: 'inherit' });
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return output;
}

function journalled(output: string): number {
  return readFileSync(join(output, 'journal.jsonl'), 'utf8').split('\n').length - 1;
}

const again = (output: string) =>
  label(optionsFor(endpoint.url, { output, comparisons: comparisonsOf(COMPARISONS) }));

it('a run killed with -9 counts as incomplete, and resumes to the same labels without a repeated call', async () => {
  const output = await killedAt(23);
  expect(existsSync(join(output, 'labels.jsonl'))).toBe(false);
  const before = journalled(output);
  expect(before).toBeGreaterThan(0);
  const [asked, questions] = [endpoint.asked.length, endpoint.asked.map(({ question }) => question)];
  expect(await again(output)).toMatchObject({ complete: true, labels: { kept: COMPARISONS } });

  // Asked again was exactly what was not on the disk.
  expect(endpoint.asked.length - asked).toBe(QUESTIONS - before);
  const all = new Set([...questions, ...endpoint.asked.slice(asked).map(({ question }) => question)]);
  expect(all.size).toBe(QUESTIONS);

  const whole = folder();
  await again(whole);
  const read = (from: string): string => readFileSync(join(from, 'labels.jsonl'), 'utf8');
  expect(read(output)).toBe(read(whole));
});

it('without the journal everything would be asked and paid for again', async () => {
  const output = await killedAt(23);
  rmSync(join(output, 'journal.jsonl'));
  const asked = endpoint.asked.length;
  await again(output);
  expect(endpoint.asked.length - asked).toBe(QUESTIONS);
});
