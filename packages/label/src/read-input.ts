import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { mergeComparisons, type Comparison } from './comparison';
import { parseLine } from './input';
import type { Taxonomy } from './taxonomy';

/** What a file asks to be labelled. */
export interface LabelInput {
  /** Each comparison once. */
  readonly comparisons: readonly Comparison[];
  readonly rows: number;
  /** Pairs left out because both responses are the same text. */
  readonly identical: number;
  /** SHA-256 of the lines, 64 hexadecimal digits. */
  readonly sha256: string;
}

/**
 * Reads JSON lines from a file (`.gz` too) or, for `-`, from `stdin`. All of it is checked before anything is paid for.
 * @throws DmoermError NOT_FOUND; INVALID_ARGUMENT naming line and field, or that there is nothing to label.
 */
export async function readInput(file: string, taxonomy: Taxonomy, stdin: Readable): Promise<LabelInput> {
  const hash = createHash('sha256');
  const comparisons: Comparison[] = [];
  let [rows, identical] = [0, 0];
  for (const [i, line] of (await readText(file, stdin)).split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const parsed = parseLine(line, i + 1, taxonomy);
    hash.update(`${line}\n`);
    comparisons.push(...parsed.comparisons);
    identical += parsed.identical;
    rows++;
  }
  checkSplits(comparisons);
  const merged = mergeComparisons(comparisons);
  if (merged.length === 0)
    throw invalidArgument('file', 'NOTHING_TO_LABEL', `${file} holds no two different responses to compare`);
  return { comparisons: merged, rows, identical, sha256: hash.digest('hex') };
}

/** All of it at once: the plan is held in memory anyway. */
async function readText(file: string, stdin: Readable): Promise<string> {
  if (file === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of stdin) chunks.push(Buffer.from(chunk as Buffer | string));
    // A letter of several bytes may lie in two chunks.
    return Buffer.concat(chunks).toString('utf8');
  }
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'FILE_NOT_FOUND',
      field: 'file',
      message: `cannot read ${file}; give a file of JSON lines (.jsonl or .jsonl.gz), or - for standard input`,
      cause,
    });
  }
  if (!file.endsWith('.gz')) return bytes.toString('utf8');
  try {
    return gunzipSync(bytes).toString('utf8');
  } catch {
    throw invalidArgument(
      'file',
      'BAD_FILE',
      `${file} is no whole gzip file; take .gz off its name if it is plain text`,
    );
  }
}

/** A prompt belongs to one split: else an evaluation would read what training saw. */
function checkSplits(comparisons: readonly Comparison[]): void {
  const splits = new Map<string, string>();
  for (const { promptId, source, split } of comparisons) {
    const prompt = `${source}/${promptId}`;
    const known = splits.get(prompt) ?? split;
    if (known !== split)
      throw invalidArgument(
        'split',
        'TWO_SPLITS',
        `the prompt ${prompt} is in the splits ${known} and ${split}; a prompt belongs to one`,
      );
    splits.set(prompt, split);
  }
}
