import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson, sha256 } from '@dmoerm/bundle';
import type { DmoermError } from '@dmoerm/core';
import { createBudget } from './budget';
import type { Comparison } from './comparison';
import type { Endpoint } from './endpoint';
import { estimate, type Estimate } from './estimate';
import { isComplete, judge } from './judged';
import { openJournal, spentIn, type Journal } from './journal';
import type { PaceOptions } from './pace';
import { createPlan, type AskOptions, type Plan } from './plan';
import { TEMPLATE_VERSION } from './prompt';
import type { Price } from './read-settings-file';
import { toAuditRecords, toPairRecords } from './records';
import { createReports, type GroupReport } from './report';
import type { RetryOptions } from './retry';
import { openQuestions, runQuestions } from './run';

/** What is to be labelled, and where it goes. */
export interface LabellingPlan {
  readonly comparisons: readonly Comparison[];
  /** SHA-256 of the input, for the manifest. */
  readonly inputSha256: string;
  /** Folder of the journal and the results; made if it is not there. */
  readonly output: string;
  readonly ask: AskOptions;
  /** Share of the comparisons whose forward question is put twice, in [0, 1]. */
  readonly repeatShare: number;
  readonly price: Price | null;
}

/** How it is to be labelled. */
export interface LabellingOptions extends LabellingPlan {
  readonly endpoint: Endpoint;
  readonly pace: PaceOptions;
  readonly retry?: RetryOptions;
  /** Most money, in the currency of the price, with what earlier runs spent; null: no limit. */
  readonly budget: number | null;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** A try failed and is made again. */
  readonly onRetry?: (error: DmoermError) => void;
}

/** The result of a run; `report.json` holds it without `stopped`. */
export interface LabellingResult {
  /** Whether everything that the manifest expects is answered. Only then is there a `labels.jsonl`. */
  readonly complete: boolean;
  readonly model: string;
  readonly template_version: string;
  readonly questions: number;
  readonly answered: number;
  /** Questions that used up their tries. */
  readonly failed: number;
  readonly labels: { readonly kept: number; readonly ties: number; readonly file: string };
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
  readonly cost: {
    /** By this folder's journal; null without a price. */
    readonly spent: number | null;
    readonly per_kept_label: number | null;
    readonly currency: string | null;
  };
  readonly groups: readonly GroupReport[];
  readonly all: GroupReport;
  /** Why the run stopped before its end; null if it did not. */
  readonly stopped: DmoermError | null;
}

/** Estimates what a run would ask and cost; asks nothing and writes nothing. */
export async function estimateLabelling(options: LabellingPlan): Promise<Estimate> {
  const { comparisons, ask, repeatShare, price, output } = options;
  const plan = createPlan(comparisons, ask, { repeatShare });
  const journal = await openJournal(join(output, 'journal.jsonl'), { readOnly: true });
  return estimate(plan, journal, price);
}

/**
 * Labels: asks what the folder's journal does not know, then writes the results of all of it: `labels.jsonl` (or, while answers are
 * missing, `labels.partial.jsonl`), `audit.jsonl` and `report.json`.
 * @throws DmoermError DATA_LOSS for a damaged journal. Errors of the endpoint end up in `stopped`.
 */
export async function label(options: LabellingOptions): Promise<LabellingResult> {
  const { comparisons, ask, repeatShare, output, price } = options;
  const plan = createPlan(comparisons, ask, { repeatShare });
  await mkdir(output, { recursive: true });
  await writeWhole(join(output, 'manifest.json'), `${JSON.stringify(toManifest(plan, options))}\n`);
  const journal = await openJournal(join(output, 'journal.jsonl'));
  try {
    const spent = spentIn(journal.entries()) ?? 0;
    const budget = createBudget({ price, limit: options.budget, spent });
    const end = await runQuestions({ ...options, plan, journal, budget });
    return await writeResults(plan, journal, { output, price, ...end });
  } finally {
    await journal.close();
  }
}

/** What decides completeness: the counts, and digests of what they were counted from. */
function toManifest(plan: Plan, { inputSha256, repeatShare }: LabellingPlan): object {
  return {
    schema_version: 1,
    template_version: TEMPLATE_VERSION,
    ask: plan.ask,
    repeat_share: repeatShare,
    input_sha256: inputSha256,
    questions_sha256: sha256(canonicalJson(plan.questions.map(({ key }) => key))),
    expected: { comparisons: plan.comparisons.length, questions: plan.questions.length },
  };
}

async function writeResults(
  plan: Plan,
  journal: Journal,
  {
    output,
    price,
    failed,
    stopped,
  }: { output: string; price: Price | null; failed: number; stopped: DmoermError | null },
): Promise<LabellingResult> {
  const judged = judge(plan, journal);
  const complete = isComplete(judged);
  const [file, stale] = complete ? ['labels', 'labels.partial'] : ['labels.partial', 'labels'];
  const { groups, all } = createReports(judged);
  const replies = plan.questions.flatMap(({ key }) => journal.replies(key));
  const spent = spentIn(journal.entries());
  const result: LabellingResult = {
    complete,
    model: plan.ask.model,
    template_version: TEMPLATE_VERSION,
    questions: plan.questions.length,
    answered: plan.questions.length - openQuestions(plan, journal).length,
    failed,
    labels: { kept: all.kept, ties: all.ties, file: `${file}.jsonl` },
    usage: {
      prompt_tokens: replies.reduce((sum, { usage }) => sum + (usage?.prompt_tokens ?? 0), 0),
      completion_tokens: replies.reduce((sum, { usage }) => sum + (usage?.completion_tokens ?? 0), 0),
    },
    cost: {
      spent,
      per_kept_label: spent === null || all.kept === 0 ? null : spent / all.kept,
      currency: price?.currency ?? null,
    },
    groups,
    all,
    stopped,
  };
  // A name that says "complete" must never stand beside an incomplete journal, not even for a moment.
  await rm(join(output, `${stale}.jsonl`), { force: true });
  await writeWhole(join(output, 'audit.jsonl'), toLines(toAuditRecords(plan, judged, journal)));
  await writeWhole(join(output, 'report.json'), `${JSON.stringify({ ...result, stopped: undefined })}\n`);
  await writeWhole(join(output, `${file}.jsonl`), toLines(toPairRecords(judged, plan.ask.model)));
  return result;
}

function toLines(records: readonly object[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

/** Writes a file that is there in whole or not at all. */
async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { flush: true });
  await rename(`${file}.new`, file);
}
