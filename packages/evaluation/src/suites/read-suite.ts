import { readJudgeBench } from './judgebench';
import { readPpe } from './ppe';
import { readRewardBench2 } from './rewardbench2';
import { readRmBench } from './rm-bench';
import type { Suite } from './suite';

const READERS: Readonly<Record<string, (paths: readonly string[]) => Promise<Suite>>> = {
  rewardbench2: readRewardBench2,
  'rm-bench': readRmBench,
  ppe: readPpe,
  judgebench: readJudgeBench,
};

/** Names of the public suites. */
export const SUITE_NAMES: readonly string[] = Object.keys(READERS);

/**
 * Reads a public suite's files as published (parquet, JSON, JSON lines; files or folders).
 * @param name one of `SUITE_NAMES`.
 * @throws DmoermError as `readRecords`.
 */
export async function readSuite(name: string, paths: readonly string[]): Promise<Suite> {
  const read = READERS[name];
  if (read === undefined) throw new Error(`no suite ${name}`);
  return read(paths);
}
