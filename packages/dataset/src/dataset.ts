import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DmoermError, validatePrompt } from '@dmoerm/core';
import type { z } from 'zod';
import { readRows, type Rows } from './read-rows';
import { pairSchema, ratingSchema, routeSchema, type Pair, type Rating, type RouteRow } from './records';
import type { Split } from './records';

/** The human preference and capability data. */
export interface Dataset {
  readonly preferences: readonly Pair[];
  readonly capabilityPairs: readonly Pair[];
  readonly ratings: readonly Rating[];
  readonly routes: readonly RouteRow[];
  /** SHA-256 by file name. */
  readonly digests: Readonly<Record<string, string>>;
}

/** A prompt and the part it lies in. */
type Placed = { readonly messages: Pair['messages']; readonly split: Split };

/** Reads files whose prompts must not cross splits, whichever of the files they are in. */
export interface DataReader {
  /** `preferences` and `capability_pairs`. */
  pairs(file: string): Promise<Rows<Pair>>;
  ratings(file: string): Promise<Rows<Rating>>;
  routes(file: string): Promise<Rows<RouteRow>>;
}

/**
 * A reader of JSON lines, gzipped or not.
 * All methods @throw DmoermError NOT_FOUND naming the file; DATA_LOSS, field `<file>:<line>`: malformed rows, empty texts, two
 * equal responses, a prompt in two splits.
 */
export function createDataReader(): DataReader {
  const splits = new Map<string, Split>();
  const read = <T extends Placed>(
    file: string,
    schema: z.ZodType<T>,
    check: (row: T) => string | null = () => null,
  ): Promise<Rows<T>> => readRows(file, schema, (row) => check(row) ?? checkPrompt(row, splits));
  return {
    pairs: (file) =>
      read(file, pairSchema, ({ chosen, rejected }) =>
        chosen === rejected ? 'chosen and rejected are the same' : null,
      ),
    ratings: (file) => read(file, ratingSchema),
    routes: (file) => read(file, routeSchema),
  };
}

/**
 * Reads `preferences`, `capability_pairs`, `ratings` and `routes` (`.jsonl.gz`) of a folder.
 * @throws DmoermError as `createDataReader`; DATA_LOSS, field `capability_pairs.jsonl.gz`, for a pair there without capability.
 */
export async function readDataset(folder: string): Promise<Dataset> {
  const digests: Record<string, string> = {};
  const reader = createDataReader();
  const take = async <T>(name: string, read: (file: string) => Promise<Rows<T>>): Promise<T[]> => {
    const { rows, sha256 } = await read(join(folder, `${name}.jsonl.gz`));
    digests[`${name}.jsonl.gz`] = sha256;
    return rows;
  };
  const preferences = await take('preferences', reader.pairs);
  const capabilityPairs = await take('capability_pairs', reader.pairs);
  if (!capabilityPairs.every(({ capability }) => capability))
    throw new DmoermError({
      code: 'DATA_LOSS',
      reason: 'BAD_ROW',
      field: 'capability_pairs.jsonl.gz',
      message: 'capability_pairs.jsonl.gz: the capability of a pair is missing',
    });
  return {
    preferences,
    capabilityPairs,
    ratings: await take('ratings', reader.ratings),
    routes: await take('routes', reader.routes),
    digests,
  };
}

/** A prompt belongs to one split, whatever the file: else a test would read what training saw. */
function checkPrompt(row: Placed, splits: Map<string, Split>): string | null {
  try {
    validatePrompt({ type: 'conversation', messages: row.messages });
  } catch (error) {
    return DmoermError.from(error).message;
  }
  const key = createHash('sha256').update(JSON.stringify(row.messages)).digest('base64');
  const known = splits.get(key);
  if (known !== undefined && known !== row.split)
    return `the prompt is in the splits ${known} and ${row.split}`;
  splits.set(key, row.split);
  return null;
}
