import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { invalidArgument } from '@dmoerm/core';
import {
  createClient,
  toRecord,
  type Client,
  type ClientOptions,
  type ItemResult,
  type ScoreItem,
} from '@dmoerm/client';
import type { Command } from 'commander';
import { Option } from 'commander';
import { addConnectionOptions, readConnection, type ConnectionOptions } from './connection';
import { EXIT } from './exit';
import { createProgress } from './progress';
import { hasFailure, parseRecord, type InputRecord } from './records';
import { withMesh } from './serve-command';
import { formatItem } from './table';

/** Items scored per step: memory stays bounded however long the file is. */
const STEP = 64;
const CONNECT_MS = 10_000;

interface ScoreCommandOptions extends ConnectionOptions {
  readonly bundle: string;
  readonly address?: string;
  readonly output: 'table' | 'jsonl';
  readonly json?: string;
}

/** `dmoerm score FILE|-`. */
export function addScoreCommand(program: Command): void {
  const command = program
    .command('score')
    .description(
      'Scores conversations, one JSON object a line:\n' +
        '  {"id": "a1", "messages": [{"role": "user", "content": "..."}], "candidates": ["...", "..."], "task": "chat"?}\n' +
        'Without --address it runs the mesh for the length of the command.',
    )
    .argument('<file>', 'file of JSON lines, or - for standard input')
    .option('--bundle <ref>', 'directory, digest or known name', 'default')
    .option('--address <host:port>', 'a running router')
    .addOption(new Option('--output <form>', 'what to print').choices(['table', 'jsonl']).default('table'))
    .action(async (file: string, options: ScoreCommandOptions) => {
      if (file !== '-' && !existsSync(file))
        throw invalidArgument(
          'file',
          'FILE_NOT_FOUND',
          `there is no file ${file}; give a file of JSON lines, or - for standard input`,
        );
      const run = (connection: ClientOptions): Promise<boolean> =>
        scoreFile(file, connection, options.output);
      const failed =
        options.address === undefined
          ? await withMesh(options.bundle, ({ services }) => run({ address: services.router.address }))
          : await run({ address: options.address, ...readConnection(options) });
      process.exitCode = failed ? EXIT.itemsFailed : EXIT.done;
    });
  addConnectionOptions(command);
}

/** Scores a file through a router and prints the results in order; true if an item or candidate has no reward. */
async function scoreFile(
  file: string,
  connection: ClientOptions,
  output: 'table' | 'jsonl',
): Promise<boolean> {
  const client = createClient(connection);
  const progress = createProgress('scoring', 'items');
  let failed = false;
  let done = 0;
  try {
    await client.waitForReady(Date.now() + CONNECT_MS);
    for await (const records of inSteps(readRecords(file))) {
      const results = await scoreRecords(client, records);
      records.forEach(({ id }, i) => {
        const result = results[i] as ItemResult;
        failed ||= hasFailure(result);
        process.stdout.write(
          output === 'jsonl' ? `${JSON.stringify(toRecord(id, result))}\n` : `${formatItem(id, result)}\n`,
        );
      });
      done += records.length;
      if (output === 'jsonl') progress.update(done, done);
    }
  } finally {
    progress.stop();
    client.close();
  }
  return failed;
}

/** One result per record, in order: bad lines keep their own error, the others are scored together. */
async function scoreRecords(client: Client, records: readonly InputRecord[]): Promise<ItemResult[]> {
  const isItem = (item: InputRecord['item']): item is ScoreItem => 'candidates' in item;
  const scored = await client.batchScore(records.flatMap(({ item }) => (isItem(item) ? [item] : [])));
  let next = 0;
  return records.map(({ item }) =>
    isItem(item) ? (scored[next++] as ItemResult) : { type: 'error', error: item },
  );
}

async function* readRecords(file: string): AsyncGenerator<InputRecord> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  let lineNumber = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    lineNumber++;
    if (line.trim() !== '') yield parseRecord(line, lineNumber);
  }
}

async function* inSteps<T>(values: AsyncIterable<T>): AsyncGenerator<T[]> {
  let step: T[] = [];
  for await (const value of values) {
    step.push(value);
    if (step.length < STEP) continue;
    yield step;
    step = [];
  }
  if (step.length > 0) yield step;
}
