import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addExpert,
  exportExpert,
  openBundle,
  openExpertSource,
  type AddedExpert,
  type Bundle,
  type BundleTask,
  type ExpertSource,
} from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { checkExpert, readCheckRecords, type CheckResult } from '@dmoerm/model';
import { readPairsFile, refitTask, type PairRow, type RefitReport } from '@dmoerm/recipe';
import type { Command } from 'commander';
import { writeJson } from './json-file';
import { createProgress } from './progress';
import { readSettings } from './settings';

/** Written by the training script of docs/import.md beside the adapter. */
const CHECK_FILE = 'dmoerm_check.jsonl';

interface ImportOptions {
  readonly bundle: string;
  readonly task: string;
  readonly capability: string;
  readonly output: string;
  readonly head?: string;
  readonly plan?: BundleTask['plan'];
  readonly displayName?: string;
  readonly definition?: string;
  readonly scoreMean?: number;
  readonly scoreStd?: number;
  readonly check?: string;
  readonly tolerance: number;
  readonly data?: string;
  readonly json?: string;
}

/** `dmoerm expert import | export`. */
export function addExpertCommand(program: Command): void {
  const expert = program
    .command('expert')
    .description('Experts in the format of PEFT: takes those trained elsewhere, gives those of a bundle.');

  expert
    .command('import')
    .description(
      'Makes a new bundle in which a LoRA adapter with a score head, as TRL and PEFT save it, is one more expert of a task.\n' +
        `Verifies base, modules, shapes, values, plan, and the scores of ${CHECK_FILE} if the folder has one; docs/import.md\n` +
        'has the training script. A task that the bundle lacks is made.',
    )
    .argument('<folder>', 'adapter_config.json and adapter_model.safetensors')
    .option('--bundle <ref>', 'bundle to start from: directory, digest or known name', 'default')
    .requiredOption('--task <name>', 'task of the expert')
    .requiredOption('--capability <name>', 'what the expert judges')
    .requiredOption('--output <folder>', 'new folder of the bundle')
    .option('--head <file>', 'safetensors with score.weight, for an adapter that was saved without its head')
    .option(
      '--plan <plan>',
      'of a new task: full, top_layers:<n> or readout; default by the adapter',
      parsePlan,
    )
    .option('--display-name <text>', 'of the capability, for people')
    .option('--definition <text>', 'what is good by this capability, for people')
    .option('--score-mean <x>', "mean of the expert's scores over validation data; default 0", parseNumber)
    .option('--score-std <x>', 'their standard deviation; default 1', parseNumber)
    .option('--check <file>', `scores to find again; default ${CHECK_FILE} of the folder`)
    .option(
      '--tolerance <x>',
      'largest difference of those, relative to the largest score',
      parseNumber,
      1e-3,
    )
    .option(
      '--data <file>',
      'pairs {"messages", "chosen", "rejected", "split"?} to fit the aggregator, scales and calibration to;\n' +
        'without them the reward is the mean of the scores',
    )
    .option('--json <file>', 'write the result here')
    .action(async (folder: string, options: ImportOptions) => importExpert(folder, options));

  expert
    .command('export')
    .description(
      "Writes an expert as a PEFT folder: its LoRA and its score head, for transformers'\n" +
        'AutoModelForSequenceClassification with num_labels=1 on the same base.',
    )
    .argument('<bundle>', 'directory, digest or known name')
    .argument('<task>')
    .argument('<capability>')
    .requiredOption('--output <folder>', 'new folder')
    .option('--json <file>', 'write the result here')
    .action(
      async (ref: string, task: string, capability: string, options: { output: string; json?: string }) => {
        const bundle = await openBundle(ref, readSettings());
        const written = await exportExpert(bundle, task, capability, options.output);
        const { moduleCount, invocationTokens, bias } = written;
        writeJson(options.json, { folder: options.output, revision: bundle.revision, ...written });
        process.stdout.write(
          `wrote ${options.output}: ${moduleCount} LoRA modules, score head\n` +
            (moduleCount === 0
              ? 'the expert reads the base as it is; one module that adds 0 stands for that\n'
              : '') +
            (invocationTokens === null
              ? ''
              : `input must end with the tokens ${invocationTokens.join(', ')}\n`) +
            (bias === 0
              ? ''
              : `a score head of transformers has no bias: its scores are ours minus ${bias}\n`),
        );
      },
    );
}

async function importExpert(folder: string, options: ImportOptions): Promise<void> {
  const settings = readSettings();
  const bundle = await openBundle(options.bundle, settings);
  const source = await openExpertSource(folder, options.head ?? null, bundle.basePath);
  const { task, capability, output, data, head: _head, bundle: _bundle, ...rest } = options;
  const place = { task, capability, ...rest };
  const pairs = data === undefined ? null : await readPairsFile(data, task);
  const check = await checkScores(bundle, source, options);
  const add = (into: string): Promise<AddedExpert> => addExpert(bundle, source, place, into, settings);
  const { added, fitted } =
    pairs === null
      ? { added: await add(output), fitted: null }
      : await addAndFit(add, task, pairs, output, settings);
  const { revision, directory } = fitted?.bundle ?? added.bundle;
  writeJson(options.json, {
    ...{ revision, directory, task, capability },
    ...{ new_task: added.newTask, aggregation: fitted === null ? 'mean' : 'learned' },
    dropped_aggregator: added.droppedAggregator && fitted === null,
    fitted: fitted && {
      ...{ train: fitted.train, valid: fitted.valid, skipped: fitted.skipped },
      valid_accuracy: fitted.validAccuracy,
    },
    check: check && { count: check.count, difference: check.difference },
  });
  const lines = [`made ${directory}`, ...describe(added, fitted, options, check), `revision ${revision}`];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** The bundle with the mean as its reward is a step on the way; it does not stay. */
async function addAndFit(
  add: (into: string) => Promise<AddedExpert>,
  task: string,
  pairs: readonly PairRow[],
  output: string,
  { cacheDir }: { readonly cacheDir: string },
): Promise<{ added: AddedExpert; fitted: RefitReport }> {
  const draft = await mkdtemp(join(tmpdir(), 'dmoerm-import-'));
  const progress = createProgress('experts', 'pairs');
  try {
    const added = await add(join(draft, 'bundle'));
    const onProgress = progress.update;
    const fitted = await refitTask(added.bundle, task, pairs, output, {
      cacheDir,
      seed: 1,
      threads: 0,
      onProgress,
    });
    return { added, fitted };
  } finally {
    progress.stop();
    await rm(draft, { recursive: true });
  }
}

/** Compares with the trainer's scores before anything is written. */
async function checkScores(
  bundle: Bundle,
  source: ExpertSource,
  { task, plan, check, tolerance }: ImportOptions,
): Promise<CheckResult | null> {
  const records = await readCheckRecords(check ?? join(source.folder, CHECK_FILE));
  if (records === null && check !== undefined)
    throw invalidArgument('--check', 'FILE_NOT_FOUND', `there is no file ${check}`);
  if (records === null) return null;
  const own = bundle.manifest.tasks.find(({ name }) => name === task)?.plan ?? plan;
  const usual = { type: source.adapter.invocationTokens === null ? 'full' : 'readout' } as const;
  return checkExpert({ basePath: bundle.basePath, plan: own ?? usual, source }, records, tolerance);
}

function describe(
  { newTask, droppedAggregator, bundle }: AddedExpert,
  fitted: RefitReport | null,
  { task, capability, scoreMean, scoreStd }: ImportOptions,
  check: CheckResult | null,
): string[] {
  const { plan, capabilities } = bundle.task(task);
  const k = capabilities.length;
  const checked =
    check === null
      ? `no scores to compare with: ${CHECK_FILE} of the folder, or --check, would show another base or template`
      : `${check.count} scores of the trainer found again, largest difference ${check.difference.toPrecision(2)} of the largest`;
  const reward =
    fitted === null
      ? `reward: ${k === 1 ? `the score of ${capability}` : `the mean of the ${k} standardised scores`}` +
        `${droppedAggregator ? '; the learned aggregator was for fewer experts and is left out' : ''}, answered as degraded`
      : `reward: an aggregator learned from ${fitted.train} pairs, right in ${(100 * fitted.validAccuracy).toFixed(0)} % of ` +
        `${fitted.valid} validation pairs, which also chose its epoch; ${fitted.skipped} too long`;
  const scale = `scale: ${capability} counts with mean ${scoreMean ?? 0}, deviation ${scoreStd ?? 1}; --score-mean and --score-std set them`;
  return [
    `${newTask ? 'new task' : 'task'} ${task} (${plan.type}): ${capabilities.map(({ name }) => name).join(', ')}`,
    checked,
    reward,
    ...(fitted === null && (scoreMean === undefined || scoreStd === undefined) ? [scale] : []),
    ...(newTask ? [`routing: the router does not know ${task}; requests must name it as their task`] : []),
  ];
}

function parsePlan(text: string): BundleTask['plan'] {
  if (text === 'full' || text === 'readout') return { type: text };
  const layers = Number(/^top_layers:(\d{1,4})$/.exec(text)?.[1] ?? 0);
  if (layers > 0) return { type: 'top_layers', layers };
  throw invalidArgument('--plan', 'BAD_PLAN', `--plan is full, top_layers:<n> or readout, not ${text}`);
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw invalidArgument('number', 'BAD_NUMBER', `${text} is no number`);
}
