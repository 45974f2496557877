import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
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
  if (file !== '-' && !existsSync(file))
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'FILE_NOT_FOUND',
      field: 'file',
      message: `there is no file ${file}; give a file of JSON lines (.jsonl or .jsonl.gz), or - for standard input`,
    });
  const bytes = file === '-' ? stdin : createReadStream(file);
  const input = file.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
  const hash = createHash('sha256');
  const comparisons: Comparison[] = [];
  let [lineNumber, rows, identical] = [0, 0, 0];
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    lineNumber++;
    if (line.trim() === '') continue;
    const parsed = parseLine(line, lineNumber, taxonomy);
    hash.update(`${line}\n`);
    comparisons.push(...parsed.comparisons);
    identical += parsed.identical;
    rows++;
  }
  const merged = mergeComparisons(comparisons);
  checkSplits(comparisons);
  if (merged.length === 0)
    throw invalidArgument('file', 'NOTHING_TO_LABEL', `${file} holds no two different responses to compare`);
  return { comparisons: merged, rows, identical, sha256: hash.digest('hex') };
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
