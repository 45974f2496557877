import { invalidArgument, type DmoermError } from '@dmoerm/core';
import {
  createEndpoint,
  DEFAULT_TAXONOMY,
  estimateLabelling,
  label,
  readInput,
  readPrice,
  readTaxonomy,
  type LabellingPlan,
  type LabellingResult,
} from '@dmoerm/label';
import type { Command } from 'commander';
import { EXIT, fail } from './exit';
import { writeJson } from './json-file';
import { addLabelOptions, type LabelCommandOptions } from './label-options';
import { readLabelSettings } from './label-settings';
import { formatEstimate, formatLabelling } from './label-table';
import { createProgress } from './progress';

/** `dmoerm label`. */
export function addLabelCommand(program: Command): void {
  addLabelOptions(
    program
      .command('label')
      .description(
        'Labels pairs of responses by capability with a language model behind any OpenAI-compatible chat/completions endpoint, and\n' +
          'tells what the labels are worth.',
      ),
  ).action(async (file: string, options: LabelCommandOptions) => {
    const settings = readLabelSettings();
    const model = options.model ?? settings.model;
    if (model === null)
      throw invalidArgument(
        '--model',
        'NO_MODEL',
        'no model is named; give --model or set DMOERM_LABEL_MODEL',
      );
    const plan = await readPlan(file, model, options);
    if (options.dryRun) {
      const estimate = await estimateLabelling(plan);
      writeJson(options.json, estimate);
      process.stdout.write(formatEstimate(estimate));
      return;
    }
    const url = options.url ?? settings.url;
    if (url === null)
      throw invalidArgument('--url', 'NO_URL', 'no endpoint is named; give --url or set OPENAI_BASE_URL');
    await run(plan, { ...options, url, apiKey: settings.apiKey });
  });
}

async function readPlan(file: string, model: string, options: LabelCommandOptions): Promise<LabellingPlan> {
  const { taxonomy, prices, budget, structured, rationale, maxTokens, maxTokensField, extra, output } =
    options;
  const { repeatShare } = options;
  if (budget !== undefined && prices === undefined)
    throw invalidArgument('--budget', 'NO_PRICES', '--budget needs to know what tokens cost; give --prices');
  const price = prices === undefined ? null : readPrice(prices, model);
  const known = taxonomy === undefined ? DEFAULT_TAXONOMY : readTaxonomy(taxonomy);
  const input = await readInput(file, known, process.stdin);
  if (input.identical > 0)
    process.stderr.write(`left out: ${input.identical} comparisons of two equal responses\n`);
  return {
    comparisons: input.comparisons,
    inputSha256: input.sha256,
    output,
    ask: { model, structured, rationale, maxTokens, maxTokensField, extra },
    repeatShare,
    price,
  };
}

async function run(
  plan: LabellingPlan,
  options: LabelCommandOptions & { readonly url: string; readonly apiKey: string | null },
): Promise<void> {
  const { url, apiKey, timeout, rpm, tpm, concurrency, budget, json } = options;
  const interrupted = new AbortController();
  const interrupt = (): void => {
    process.stderr.write('\nstopping when what is on its way has answered; once more to stop at once\n');
    interrupted.abort();
    release();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const release = (): void => signals.forEach((signal) => process.off(signal, interrupt));
  signals.forEach((signal) => process.on(signal, interrupt));
  const progress = createProgress('labelling', 'questions');
  let result: LabellingResult;
  try {
    result = await label({
      ...plan,
      endpoint: createEndpoint({ url, apiKey, timeoutMs: timeout * 1000 }),
      pace: { requestsPerMinute: rpm ?? null, tokensPerMinute: tpm ?? null, concurrency },
      budget: budget ?? null,
      signal: interrupted.signal,
      onProgress: (done, total) => progress.update(done, total),
      onRetry: sayOnce(),
    });
  } finally {
    progress.stop();
    release();
  }
  writeJson(json, { ...result, stopped: undefined });
  process.stdout.write(formatLabelling(result));
  finish(result);
}

/** Tells each kind of trouble once: a run that waits for its endpoint must not look as if it hung. */
function sayOnce(): (error: DmoermError) => void {
  const said = new Set<string>();
  return ({ reason, message }) => {
    if (said.has(reason)) return;
    said.add(reason);
    process.stderr.write(`dmoerm: ${message}; trying again [${reason}]\n`);
  };
}

/** Says why answers are missing, if they are, and sets the exit status. */
function finish({ complete, failed, stopped }: LabellingResult): void {
  if (complete) return;
  if (stopped !== null && !['BUDGET_REACHED', 'INTERRUPTED'].includes(stopped.reason)) return fail(stopped);
  process.exitCode = EXIT.itemsFailed;
  process.stderr.write(
    stopped !== null
      ? `dmoerm: ${stopped.message} [${stopped.reason}]\n`
      : `dmoerm: ${failed} questions had no answer after their tries; run the same command again to ask them\n`,
  );
}
