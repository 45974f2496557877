import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSpecBundle } from '@dmoerm/testing';

/** What figures about the mesh work with. */
export interface Fixture {
  /** For ready files, logs and records; removed when the process ends. */
  readonly folder: string;
  readonly bundle: string;
  /** Conversations, as `dmoerm score` reads them. */
  readonly items: string;
}

/** Candidates of each conversation: so many calls come at once when as many ranks share them. */
export const CANDIDATES = 64;
/** Of a candidate: the spec bundle's conversations have at most 256 tokens. */
const CANDIDATE_BYTES = 80;
const ITEMS = 6;
/** The spec bundle's tasks with a learned aggregator, by the word that routes to them. */
const WORDS = ['hello', 'query'];

let made: Promise<Fixture> | undefined;

/** The spec bundle and conversations for it, made once per process. */
export function fixture(): Promise<Fixture> {
  return (made ??= make());
}

async function make(): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-faults-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const bundle = join(folder, 'bundle');
  await createSpecBundle(bundle, folder);
  const items = join(folder, 'items.jsonl');
  const lines = Array.from({ length: ITEMS }, (_, i) => {
    const content = `${WORDS[i % WORDS.length]}, why do rivers bend, number ${i}?`;
    const candidates = Array.from({ length: CANDIDATES }, (__, c) =>
      `${c} ${i} `.padEnd(CANDIDATE_BYTES, 'bend '),
    );
    return JSON.stringify({ id: `i${i}`, messages: [{ role: 'user', content }], candidates });
  });
  writeFileSync(items, `${lines.join('\n')}\n`);
  return { folder, bundle, items };
}
