import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBundle } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import {
  evaluatePairs,
  evaluateSuite,
  formatPairReport,
  formatSuiteReport,
  pairPage,
  readPairData,
  readSuite,
  SUITE_NAMES,
  suitePage,
  type ArmBundles,
  type PairOptions,
} from '@dmoerm/evaluation';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { EXIT } from './exit';
import { writeJson } from './json-file';
import { createProgress } from './progress';
import { readSettings } from './settings';

interface EvalOptions {
  readonly data: readonly string[];
  readonly suite: string;
  readonly split: PairOptions['split'];
  readonly limit?: number;
  readonly validLimit: number;
  readonly seed: number;
  readonly lambda: number;
  readonly truncation: PairOptions['truncation'];
  readonly cache: string;
  readonly threads: number;
  readonly json?: string;
  readonly html?: string;
}

/** `dmoerm eval [REF...]`. */
export function addEvalCommand(program: Command): void {
  program
    .command('eval')
    .description(
      'Measures bundles on preferences: accuracy with intervals, differences, calibration, length, router, single capabilities.\n' +
        'REF is a directory, digest or known name; NAME=REF,REF,... makes one arm of bundles that differ in their seed.\n' +
        'The first arm is what the others, and the baselines, are compared with. Resumes what an earlier run scored.',
    )
    .argument('[refs...]', 'arms', ['default'])
    .requiredOption(
      '--data <path...>',
      'files of pair records (.jsonl, .jsonl.gz), or of the suite as published; or folders with them',
    )
    .addOption(
      new Option('--suite <name>', 'format and rules of the data')
        .choices(['pairs', ...SUITE_NAMES])
        .default('pairs'),
    )
    .addOption(
      new Option('--split <name>', 'part of the pairs (pairs)')
        .choices(['train', 'valid', 'test'])
        .default('test'),
    )
    .option('--limit <n>', 'most prompts per source, task and capability (pairs)', parseCount)
    .option(
      '--valid-limit <n>',
      'valid prompts per source and task, to fit temperatures that bundles lack (pairs)',
      parseCount,
      0,
    )
    .option('--seed <n>', 'of random routing, bootstrap and tests', parseCount, 1)
    .option('--lambda <x>', 'weight of the variance in uncertainty_weighted', Number, 0.5)
    .addOption(
      new Option('--truncation <how>', 'of conversations that are too long')
        .choices(['reject', 'keep_end'])
        .default('reject'),
    )
    .option('--cache <folder>', 'scores, kept between runs', join('runs', 'scores'))
    .option('--threads <n>', 'threads of the engine; 0: all cores', parseCount, 0)
    .option('--json <file>', 'write the report here')
    .option('--html <file>', 'write it as a page here, with plots')
    .action(async (references: readonly string[], options: EvalOptions) => {
      const arms = await openArms(references);
      if (options.suite === 'pairs') await evaluateOnPairs(arms, options);
      else await evaluateOnSuite(arms, options);
      process.exitCode = EXIT.done;
    });
}

/** What pairs and suites have in common. */
function scoringOptions({ seed, lambda, truncation, cache, threads }: EvalOptions) {
  const engine = { threads, cacheDirectory: join(readSettings().cacheDir, 'packed') };
  return { seed, lambda, truncation, cache, engine };
}

async function evaluateOnPairs(arms: readonly ArmBundles[], options: EvalOptions): Promise<void> {
  const { split, limit = null, validLimit } = options;
  const data = await readPairData(options.data);
  const report = await withProgress((onProgress) =>
    evaluatePairs(arms, data, { ...scoringOptions(options), split, limit, validLimit, onProgress }),
  );
  await write(options, report, formatPairReport, pairPage);
}

async function evaluateOnSuite(arms: readonly ArmBundles[], options: EvalOptions): Promise<void> {
  const suite = await readSuite(options.suite, options.data);
  const report = await withProgress((onProgress) =>
    evaluateSuite(arms, suite, { ...scoringOptions(options), onProgress }),
  );
  await write(options, report, formatSuiteReport, suitePage);
}

async function write<T>(
  { json, html }: EvalOptions,
  report: T,
  format: (report: T) => string,
  page: (report: T) => Promise<string>,
): Promise<void> {
  writeJson(json, report);
  if (html !== undefined) writeFileSync(html, await page(report));
  process.stdout.write(`${format(report)}\n`);
}

/** A bar per arm. */
async function withProgress<T>(
  run: (onProgress: NonNullable<PairOptions['onProgress']>) => Promise<T>,
): Promise<T> {
  let current = '';
  let progress = createProgress('scoring', 'tokens');
  try {
    return await run((arm, tokens, totalTokens) => {
      if (arm !== current) {
        progress.stop();
        progress = createProgress(`scoring ${arm}`, 'tokens');
        current = arm;
      }
      progress.update(tokens, totalTokens);
    });
  } finally {
    progress.stop();
  }
}

/** Opens and verifies the bundles of all arms; arms without a name are called as their bundle is. */
async function openArms(references: readonly string[]): Promise<ArmBundles[]> {
  const settings = readSettings();
  const arms: ArmBundles[] = [];
  for (const reference of references) {
    const [, given, list = reference] = /^([\w.-]+)=(.+)$/.exec(reference) ?? [];
    const bundles = await Promise.all(list.split(',').map((one) => openBundle(one, settings)));
    const name = given ?? bundles[0]?.manifest.name ?? reference;
    if (arms.some((arm) => arm.name === name))
      throw invalidArgument(
        'refs',
        'REPEATED_ARM',
        `two arms are called ${name}; name them, NAME=REF, or make one arm of their bundles, NAME=REF,REF`,
      );
    arms.push({ name, bundles });
  }
  return arms;
}

function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number of at least 0.');
  return value;
}
