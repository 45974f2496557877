import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DmoermError } from '@dmoerm/core';
import { createDataReader, hashFraction, type Pair, type RouteRow, type Split } from '@dmoerm/dataset';

/** What pairs are evaluated on. */
export interface PairData {
  /** Overall preferences. */
  readonly preferences: readonly Pair[];
  /** Pairs that compare one capability. */
  readonly capabilityPairs: readonly Pair[];
  /** Prompts with their task. */
  readonly routes: readonly RouteRow[];
  /** SHA-256 by file name. */
  readonly digests: Readonly<Record<string, string>>;
}

/** Files of a data folder that are read; ratings hold no pairs. */
const NAMES = ['preferences', 'capability_pairs', 'routes'];
const ENDINGS = ['.jsonl', '.jsonl.gz'];

/**
 * Reads `pair` records from files, and from folders their `preferences`, `capability_pairs` and `routes` (`.jsonl`, `.jsonl.gz`).
 * @throws DmoermError NOT_FOUND, reason `DATA_MISSING`, also for a folder with none of them; DATA_LOSS as `createDataReader`.
 */
export async function readPairData(paths: readonly string[]): Promise<PairData> {
  const reader = createDataReader();
  const preferences: Pair[] = [];
  const capabilityPairs: Pair[] = [];
  const routes: RouteRow[] = [];
  const digests: Record<string, string> = {};
  for (const file of paths.flatMap(toFiles)) {
    const name = basename(file);
    if (name.startsWith('routes.')) {
      const { rows, sha256 } = await reader.routes(file);
      digests[name] = sha256;
      routes.push(...rows);
      continue;
    }
    const { rows, sha256 } = await reader.pairs(file);
    digests[name] = sha256;
    for (const row of rows) (row.capability ? capabilityPairs : preferences).push(row);
  }
  return { preferences, capabilityPairs, routes, digests };
}

function toFiles(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
  const files = NAMES.flatMap((name) => ENDINGS.map((ending) => join(path, `${name}${ending}`))).filter(
    existsSync,
  );
  if (files.length > 0) return files;
  throw new DmoermError({
    code: 'NOT_FOUND',
    reason: 'DATA_MISSING',
    field: '--data',
    message: `${path} holds none of ${NAMES.join(', ')} (${ENDINGS.join(' or ')})`,
  });
}

/** Which pairs to take. */
export interface Selection {
  readonly split: Split;
  /** Most prompts per source, task and capability; null: all. */
  readonly limit: number | null;
}

/** Pairs of one split, and what was set aside. */
export interface SelectedPairs {
  /** Unequal pairs whose prompt does not resemble a training prompt: what figures are about. */
  readonly main: readonly Pair[];
  /** Unequal pairs whose first turn opens a training row too; reported apart. */
  readonly seen: readonly Pair[];
  /** Unequal pairs about one capability. */
  readonly capability: readonly Pair[];
  /** Left out: people saw no difference. */
  readonly ties: number;
}

/** Takes a split; a limit keeps the prompts with the smallest hashes, the same ones whatever the order of the rows. */
export function selectPairs(data: PairData, { split, limit }: Selection): SelectedPairs {
  const own = (rows: readonly Pair[]): Pair[] =>
    limitPrompts(
      rows.filter((row) => row.split === split),
      limit,
    );
  const preferences = own(data.preferences);
  const capability = own(data.capabilityPairs);
  const unequal = preferences.filter(({ tie }) => !tie);
  return {
    main: unequal.filter((row) => !row.first_turn_in_train),
    seen: unequal.filter((row) => row.first_turn_in_train),
    capability: capability.filter(({ tie }) => !tie),
    ties: [...preferences, ...capability].filter(({ tie }) => tie).length,
  };
}

function limitPrompts(rows: readonly Pair[], limit: number | null): Pair[] {
  if (limit === null) return [...rows];
  const prompts = new Map<string, Set<string>>();
  for (const row of rows)
    prompts.set(stratum(row), (prompts.get(stratum(row)) ?? new Set()).add(row.prompt_id));
  const kept = new Map(
    [...prompts].map(([key, ids]) => {
      const sorted = [...ids].sort((a, b) => hashFraction(a, 'limit') - hashFraction(b, 'limit'));
      return [key, new Set(sorted.slice(0, limit))];
    }),
  );
  return rows.filter((row) => kept.get(stratum(row))?.has(row.prompt_id));
}

function stratum({ source, task, capability }: Pair): string {
  return JSON.stringify([source, task, capability ?? null]);
}
