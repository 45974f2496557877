import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const scoreSchema = z.object({
  /** As the mesh answers it. */
  reward: z.number(),
  /** No learned aggregator: the reward is the mean of the standardised scores, as the router answers then. */
  degraded: z.boolean(),
  /** Of the experts, [K]. */
  scores: z.array(z.number()),
  /** Of prompt and response. */
  tokens: z.number(),
  truncated: z.boolean(),
});
const lineSchema = scoreSchema.extend({ key: z.string() });

/** What a bundle says of one response as one task. */
export type Score = z.infer<typeof scoreSchema>;

/**
 * Scores on disk by conversation, JSON lines. Append-only, and numbers are written in the shortest form that reads back to the same
 * double: a run that was cut off goes on with the same bits; a line that was cut is left out. The folder is named by everything
 * else that decides the numbers. Holds digests, never texts.
 */
export class ScoreCache {
  private readonly known = new Map<string, Score>();
  private readonly file: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'scores.jsonl');
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    for (const line of text.split('\n')) {
      const entry = lineSchema.safeParse(parse(line));
      if (!entry.success) continue;
      const { key, ...score } = entry.data;
      this.known.set(key, score);
    }
    this.file = openSync(path, 'a');
    if (text !== '' && !text.endsWith('\n')) writeSync(this.file, '\n');
  }

  get(key: string): Score | undefined {
    return this.known.get(key);
  }

  add(entries: readonly (readonly [string, Score])[]): void {
    const lines = entries.map(([key, score]) => `${JSON.stringify({ key, ...score })}\n`);
    writeSync(this.file, lines.join(''));
    for (const [key, score] of entries) this.known.set(key, score);
  }

  close(): void {
    closeSync(this.file);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
