import { createHash } from 'node:crypto';
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
import type { Message } from '@dmoerm/core';
import type { Engine, TaskHandle } from '@dmoerm/engine';
import type { ChatTemplate } from '@dmoerm/tokenizer';

/** A prompt and all responses to it that are needed. */
export interface PromptGroup {
  readonly messages: readonly Message[];
  readonly responses: readonly string[];
}

/** One task's readout: what its experts append after each response. */
export interface Readout {
  readonly handle: TaskHandle;
  /** K token sequences. */
  readonly invocationTokens: readonly (readonly number[])[];
}

/** How to fill a cache. */
export interface FillOptions {
  readonly engine: Engine;
  readonly template: ChatTemplate;
  readonly readout: Readout;
  /** Prompts with a longer sequence are left out. */
  readonly maxTokens: number;
  readonly onProgress?: (tokens: number, totalTokens: number) => void;
}

/** Rows per engine call: enough to fill the kernels, few enough to save often. */
const BATCH_TOKENS = 4096;

/**
 * Expert embeddings on disk, [K * d] float32 a response. Append-only: data first, then its line in the index, so that what a
 * killed run left is what the next one starts from. The folder is keyed by everything that decides the numbers.
 */
export class EmbeddingCache {
  private readonly offsets = new Map<string, number>();
  private readonly data: number;
  private readonly index: number;
  private end: number;

  constructor(
    folder: string,
    /** Numbers of a response. */
    readonly width: number,
  ) {
    mkdirSync(folder, { recursive: true });
    const indexFile = join(folder, 'index.txt');
    this.data = openSync(
      join(folder, 'embeddings.f32'),
      existsSync(join(folder, 'embeddings.f32')) ? 'r+' : 'w+',
    );
    const size = fstatSync(this.data).size;
    this.end = 0;
    for (const key of existsSync(indexFile) ? readFileSync(indexFile, 'utf8').split('\n') : []) {
      if (key.length !== 43 || this.end + this.bytes > size) continue;
      this.offsets.set(key, this.end);
      this.end += this.bytes;
    }
    this.index = openSync(indexFile, 'a');
  }

  private get bytes(): number {
    return this.width * 4;
  }

  has(messages: readonly Message[], response: string): boolean {
    return this.offsets.has(keyOf(messages, response));
  }

  /** The K embeddings of a response, [K * d], or null. */
  get(messages: readonly Message[], response: string): Float32Array | null {
    const offset = this.offsets.get(keyOf(messages, response));
    if (offset === undefined) return null;
    const values = new Float32Array(this.width);
    readSync(this.data, values, 0, this.bytes, offset);
    return values;
  }

  /** Adds what is missing of the groups; returns how many prompts were too long. */
  async fill(
    groups: readonly PromptGroup[],
    { engine, template, readout, maxTokens, onProgress }: FillOptions,
  ): Promise<number> {
    const jobs: Job[] = [];
    let skipped = 0;
    for (const { messages, responses } of groups) {
      const missing = [...new Set(responses)].filter((response) => !this.has(messages, response));
      if (missing.length === 0) continue;
      const prompt = Int32Array.from(template.promptTokens(messages));
      const tokens = missing.map((response) => Int32Array.from(template.candidateTokens(response)));
      const readoutTokens = readout.invocationTokens.reduce((sum, own) => sum + own.length, 0);
      const cost = prompt.length + tokens.reduce((sum, own) => sum + own.length + readoutTokens, 0);
      if (prompt.length + Math.max(...tokens.map(({ length }) => length)) > maxTokens) skipped++;
      else jobs.push({ messages, missing, prompt, tokens, cost });
    }
    const total = jobs.reduce((sum, { cost }) => sum + cost, 0);
    let done = 0;
    for (const batch of batches(jobs)) {
      const prompts = batch.map(({ prompt }) => prompt);
      const candidates = batch.flatMap(({ tokens }, i) => tokens.map((own) => ({ prompt: i, tokens: own })));
      const {
        outputs: [{ embeddings }],
      } = await engine.evaluate([{ task: readout.handle, prompts, candidates }]);
      this.append(
        batch.flatMap(({ messages, missing }) => missing.map((response) => keyOf(messages, response))),
        embeddings,
      );
      done += batch.reduce((sum, { cost }) => sum + cost, 0);
      onProgress?.(done, total);
    }
    return skipped;
  }

  private append(keys: readonly string[], embeddings: Float32Array): void {
    writeSync(this.data, embeddings, 0, embeddings.byteLength, this.end);
    writeSync(this.index, keys.map((key) => `${key}\n`).join(''));
    for (const key of keys) {
      this.offsets.set(key, this.end);
      this.end += this.bytes;
    }
  }

  close(): void {
    closeSync(this.data);
    closeSync(this.index);
  }
}

interface Job {
  readonly messages: readonly Message[];
  readonly missing: readonly string[];
  readonly prompt: Int32Array;
  readonly tokens: readonly Int32Array[];
  /** Rows in the engine. */
  readonly cost: number;
}

function* batches(jobs: readonly Job[]): Generator<Job[]> {
  let batch: Job[] = [];
  let tokens = 0;
  for (const job of jobs) {
    if (batch.length > 0 && tokens + job.cost > BATCH_TOKENS) {
      yield batch;
      batch = [];
      tokens = 0;
    }
    batch.push(job);
    tokens += job.cost;
  }
  if (batch.length > 0) yield batch;
}

/** 43 characters. */
function keyOf(messages: readonly Message[], response: string): string {
  const turns = messages.map(({ role, content }) => [role, content]);
  return createHash('sha256')
    .update(JSON.stringify([turns, response]))
    .digest('base64url');
}
