import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { corrupt, DmoermError, validatePrompt } from '@dmoerm/core';
import { z } from 'zod';

const message = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
const split = z.enum(['train', 'valid', 'test']);
const text = z.string().min(1);
const origin = { source: z.string(), licence: z.string(), messages: z.array(message), split };
const scored = { ...origin, task: z.string(), prompt_id: z.string() };

const pairSchema = z.object({
  ...scored,
  chosen: text,
  rejected: text,
  tie: z.boolean().default(false),
  capability: z.string().nullish(),
});
const ratingSchema = z.object({
  ...scored,
  response: text,
  ratings: z.record(z.string(), z.number().min(0).max(1)),
});
const routeSchema = z.object({ ...origin, label: z.string() });

/** Two responses to one prompt, the better one first known. */
export type Pair = z.infer<typeof pairSchema>;
/** One response with ratings per capability, 0 to 1. */
export type Rating = z.infer<typeof ratingSchema>;
/** A prompt with its task. */
export type RouteRow = z.infer<typeof routeSchema>;
/** A prompt lies in one part only. */
export type Split = z.infer<typeof split>;

/** The human preference and capability data. */
export interface Dataset {
  readonly preferences: readonly Pair[];
  readonly capabilityPairs: readonly Pair[];
  readonly ratings: readonly Rating[];
  readonly routes: readonly RouteRow[];
  /** SHA-256 by file name. */
  readonly digests: Readonly<Record<string, string>>;
}

/** Licence mark of rows that weights that leave the machine must not be trained on. */
const NO_LICENCE = 'none-stated';

/** Whether weights trained on a row may be shipped. */
export function mayShip({ licence }: { readonly licence: string }): boolean {
  return licence !== NO_LICENCE;
}

/** A number in [0, 1) that depends on `text` and `salt` alone: splits and samples that never change. */
export function hashFraction(text: string, salt: string): number {
  return createHash('sha256').update(`${salt}\0${text}`).digest().readUInt32BE() / 2 ** 32;
}

/**
 * Reads `preferences`, `capability_pairs`, `ratings` and `routes` (`.jsonl.gz`) of a folder.
 * @throws DmoermError NOT_FOUND naming the file; DATA_LOSS, field `<file>:<line>`: malformed rows, empty texts, two equal responses,
 *   a capability pair without capability, a prompt in two splits.
 */
export async function readDataset(folder: string): Promise<Dataset> {
  const digests: Record<string, string> = {};
  const splits = new Map<string, Split>();
  const read = async <T extends { messages: Pair['messages']; split: Split }>(
    name: string,
    schema: z.ZodType<T>,
    check: (row: T) => string | null = () => null,
  ): Promise<T[]> => {
    const file = join(folder, `${name}.jsonl.gz`);
    const { rows, sha256 } = await readRows(file, schema, (row) => check(row) ?? checkPrompt(row, splits));
    digests[`${name}.jsonl.gz`] = sha256;
    return rows;
  };
  return {
    preferences: await read('preferences', pairSchema, checkPair),
    capabilityPairs: await read('capability_pairs', pairSchema, (row) =>
      row.capability ? checkPair(row) : 'the capability is missing',
    ),
    ratings: await read('ratings', ratingSchema),
    routes: await read('routes', routeSchema),
    digests,
  };
}

function checkPair({ chosen, rejected }: Pair): string | null {
  return chosen === rejected ? 'chosen and rejected are the same' : null;
}

/** A prompt belongs to one split, whatever the file: else a test would read what training saw. */
function checkPrompt(
  row: { messages: Pair['messages']; split: Split },
  splits: Map<string, Split>,
): string | null {
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

async function readRows<T>(
  file: string,
  schema: z.ZodType<T>,
  check: (row: T) => string | null,
): Promise<{ rows: T[]; sha256: string }> {
  if (!existsSync(file))
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'DATA_MISSING',
      field: file,
      message: `${file} is not there; --data names the folder with preferences, capability_pairs, ratings and routes (.jsonl.gz)`,
    });
  const hash = createHash('sha256');
  const bytes = createReadStream(file);
  bytes.on('data', (chunk) => hash.update(chunk));
  const rows: T[] = [];
  let lineNumber = 0;
  for await (const line of createInterface({ input: bytes.pipe(createGunzip()) })) {
    lineNumber++;
    const row = schema.safeParse(parseJson(line));
    const problem = row.success
      ? check(row.data)
      : `${row.error.issues[0]?.path.join('.')}: ${row.error.issues[0]?.message}`;
    if (problem !== null)
      throw corrupt(`${file}:${lineNumber}`, 'BAD_ROW', `${file}, line ${lineNumber}: ${problem}`);
    if (row.success) rows.push(row.data);
  }
  return { rows, sha256: hash.digest('hex') };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
