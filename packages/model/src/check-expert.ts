import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { checkPlan, type BundleTask, type ExpertSource } from '@dmoerm/bundle';
import { createEngine } from '@dmoerm/engine';
import { openTokenizer } from '@dmoerm/tokenizer';
import { openBase } from '@dmoerm/weights';
import { z } from 'zod';

const Record = z.object({
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  candidate: z.string().min(1),
  /** As the trainer fed them: prompt, candidate, end token, and the invocation tokens of an activated LoRA. */
  input_ids: z.array(z.int().nonnegative()).min(1),
  score: z.number(),
});

/** A conversation with the score that the expert's trainer found for it. */
export type CheckRecord = z.infer<typeof Record>;

/** The expert as it would be in a bundle. */
export interface CheckedExpert {
  /** As `openBase` and `openTokenizer` take it. */
  readonly basePath: string;
  readonly plan: BundleTask['plan'];
  readonly source: ExpertSource;
}

/** How far scores here are from those of the trainer. */
export interface CheckResult {
  readonly count: number;
  /** Largest difference, relative to the largest score. */
  readonly difference: number;
}

/**
 * Reads records, JSON lines `{"messages", "candidate", "input_ids", "score"}`; null if there is no such file.
 * @throws DmoermError INVALID_ARGUMENT, reason `BAD_CHECK_RECORD`, naming file, line and field.
 */
export async function readCheckRecords(file: string): Promise<CheckRecord[] | null> {
  if (!existsSync(file)) return null;
  const lines = (await readFile(file, 'utf8')).split('\n');
  const refuse = (line: number, why: string): never => {
    throw invalidArgument(`${file}:${line}`, 'BAD_CHECK_RECORD', `${file}:${line}: ${why}`);
  };
  const records = lines.flatMap((line, i): CheckRecord[] => {
    if (line.trim() === '') return [];
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      return refuse(i + 1, 'is no JSON');
    }
    const { data, error } = Record.safeParse(json);
    const issue = error?.issues[0];
    return data === undefined ? refuse(i + 1, `${issue?.path.join('.')}: ${issue?.message}`) : [data];
  });
  return records.length === 0 ? refuse(1, 'holds no record') : records;
}

/**
 * Scores the records in float32 with the engine and compares: what shapes cannot show, such as another base of the same sizes, another
 * template, pooled token or head, shows here.
 * @throws DmoermError FAILED_PRECONDITION, reason `TOKENS_DIFFER` (field `records[i].input_ids`) or, beyond `tolerance`,
 *   `SCORES_DIFFER`, each with what is likely wrong; as `checkPlan`.
 */
export async function checkExpert(
  { basePath, plan, source: { folder, adapter, head } }: CheckedExpert,
  records: readonly CheckRecord[],
  tolerance: number,
): Promise<CheckResult> {
  const base = await openBase(basePath);
  checkPlan(folder, adapter, plan, base.config);
  const invocationTokens = adapter.invocationTokens ?? [];
  const { template } = await openTokenizer(basePath);
  const sequences = records.map(({ messages, candidate, input_ids: given }, i) => {
    const prompt = template.promptTokens(messages);
    const response = template.candidateTokens(candidate);
    compareTokens(i, [...prompt, ...response, ...invocationTokens], given);
    return { prompt: Int32Array.from(prompt), tokens: Int32Array.from(response) };
  });
  await using engine = await createEngine(base, { weightType: 'f32' });
  const task = await engine.addTask({
    plan,
    taskAdapter: null,
    experts: [{ adapter, invocationTokens, head }],
  });
  const prompts = sequences.map(({ prompt }) => prompt);
  const candidates = sequences.map(({ tokens }, prompt) => ({ prompt, tokens }));
  const { outputs } = await engine.evaluate([{ task, prompts, candidates }]);
  const difference = largestDifference(
    outputs[0].scores,
    records.map(({ score }) => score),
  );
  if (!(difference <= tolerance)) throw scoresDiffer(difference, tolerance);
  return { count: records.length, difference };
}

function compareTokens(index: number, ours: readonly number[], theirs: readonly number[]): void {
  if (ours.join() === theirs.join()) return;
  const length = Math.max(ours.length, theirs.length);
  const at = Array.from({ length }, (_, i) => i).find((i) => ours[i] !== theirs[i]) ?? length;
  throw new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'TOKENS_DIFFER',
    field: `records[${index}].input_ids`,
    message:
      `record ${index + 1}: the expert was trained on other tokens than the bundle's base gives: of ${theirs.length} and ` +
      `${ours.length}, token ${at} is ${theirs[at] ?? 'missing'} there and ${ours[at] ?? 'missing'} here; train on the base's own ` +
      "tokenizer and chat template, each sequence ending with the response's end token",
  });
}

function largestDifference(ours: Float32Array, theirs: readonly number[]): number {
  const differences = theirs.map((score, i) => Math.abs((ours[i] ?? NaN) - score));
  return Math.max(...differences) / Math.max(...theirs.map(Math.abs), Number.MIN_VALUE);
}

function scoresDiffer(difference: number, tolerance: number): DmoermError {
  return new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'SCORES_DIFFER',
    field: 'records',
    message:
      `the expert's scores differ from its trainer's by ${difference.toPrecision(2)} of the largest, more than ${tolerance}: it was ` +
      'trained on another base (or on one of other precision), pools another token, or has another head; use the base that it was ' +
      'trained on, or accept the difference with a higher --tolerance',
  });
}
