import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** What one weight type says of one candidate. */
export interface Scored {
  /** Of the learned aggregator. */
  readonly reward: number;
  /** [K] */
  readonly scores: readonly number[];
  /** [K * d] */
  readonly embeddings: Float32Array;
}

/** One line of the file: a pair's numbers, and where its embeddings lie. */
interface Line {
  readonly key: string;
  readonly rewards: readonly number[];
  readonly scores: readonly (readonly number[])[];
  /** In `embeddings.f32`, bytes. */
  readonly offset: number;
  /** Of all candidates together. */
  readonly bytes: number;
}

/**
 * Scores on disk by pair. Append-only, embeddings first, then the line, so that a run that was cut off resumes where it was; a line
 * that was cut is left out. The folder is keyed by everything that decides the numbers.
 */
export class ScoreCache {
  private readonly lines = new Map<string, Line>();
  private readonly index: number;
  private readonly data: number;
  private end: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const indexFile = join(folder, 'scores.jsonl');
    this.data = openSync(join(folder, 'embeddings.f32'), 'a+');
    this.end = fstatSync(this.data).size;
    const known = existsSync(indexFile) ? readFileSync(indexFile, 'utf8') : '';
    for (const text of known.split('\n')) {
      const line = parse(text);
      if (line !== null && line.offset + line.bytes <= this.end) this.lines.set(line.key, line);
    }
    this.index = openSync(indexFile, 'a');
    if (known !== '' && !known.endsWith('\n')) writeSync(this.index, '\n');
  }

  has(key: string): boolean {
    return this.lines.has(key);
  }

  /** The candidates of a pair. @throws if it is not there; ask `has`. */
  get(key: string): Scored[] {
    const line = this.lines.get(key);
    if (line === undefined) throw new Error(`no scores of the pair ${key}`);
    const values = new Float32Array(line.bytes / Float32Array.BYTES_PER_ELEMENT);
    readSync(this.data, values, 0, line.bytes, line.offset);
    const width = values.length / line.rewards.length;
    return line.rewards.map((reward, i) => ({
      reward,
      scores: line.scores[i] ?? [],
      embeddings: values.subarray(i * width, (i + 1) * width),
    }));
  }

  add(key: string, candidates: readonly Scored[]): void {
    const offset = this.end;
    for (const { embeddings } of candidates) {
      writeSync(this.data, embeddings);
      this.end += embeddings.byteLength;
    }
    const line: Line = {
      key,
      rewards: candidates.map(({ reward }) => reward),
      scores: candidates.map(({ scores }) => scores),
      offset,
      bytes: this.end - offset,
    };
    writeSync(this.index, `${JSON.stringify(line)}\n`);
    this.lines.set(key, line);
  }

  close(): void {
    closeSync(this.data);
    closeSync(this.index);
  }
}

function parse(text: string): Line | null {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
}
