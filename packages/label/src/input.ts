import { canonicalJson, sha256 } from '@dmoerm/bundle';
import { DmoermError, invalidArgument, validatePrompt, type Message } from '@dmoerm/core';
import { z } from 'zod';
import { createComparison, type Comparison, type Preference, type Split } from './comparison';
import type { Capability, Taxonomy } from './taxonomy';

const text = z.string().min(1);
const common = {
  id: z.string().nullish(),
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  task: text,
  capability: text.nullish(),
  prompt_id: text.nullish(),
  split: z.enum(['train', 'valid', 'test']).nullish(),
  source: text.nullish(),
  licence: text.nullish(),
};
const responsesRow = z.object({ ...common, responses: z.array(text).min(2) });
const pairRow = z.object({ ...common, chosen: text, rejected: text, tie: z.boolean().default(false) });

/** What a line of input asks for. */
export interface ParsedLine {
  readonly comparisons: readonly Comparison[];
  /** Pairs left out because their two responses are the same text: there is nothing to compare. */
  readonly identical: number;
}

/**
 * Reads one JSON line: `{messages, responses, task, ...}` (every pair of responses, every capability of the task) or a `pair` record
 * `{messages, chosen, rejected, task, capability?, ...}` (with a capability it is a human label to measure agreement against).
 * @throws DmoermError INVALID_ARGUMENT, field `line N: path`; texts of the line are never quoted.
 */
export function parseLine(line: string, lineNumber: number, taxonomy: Taxonomy): ParsedLine {
  const at = `line ${lineNumber}`;
  let row: z.infer<typeof responsesRow> | z.infer<typeof pairRow>;
  try {
    const json: unknown = JSON.parse(line);
    const isPair = typeof json === 'object' && json !== null && 'chosen' in json;
    row = (isPair ? pairRow : responsesRow).parse(json);
    validatePrompt({ type: 'conversation', messages: row.messages });
  } catch (error) {
    throw badLine(at, error);
  }
  const capabilities = chooseCapabilities(row, taxonomy, at);
  const messages = row.messages satisfies Message[];
  const promptId = row.prompt_id ?? sha256(canonicalJson(messages)).slice(0, 12);
  const origin = {
    promptId,
    split: row.split ?? splitOf(promptId),
    source: row.source ?? 'unnamed',
    // Weights trained on rows of no stated licence are not shipped: the safe reading of a missing field.
    licence: row.licence ?? 'none-stated',
  };
  const pairs = 'chosen' in row ? [[row.chosen, row.rejected] as const] : pairsOf(row.responses);
  const different = pairs.filter(([a, b]) => a !== b);
  const human = 'chosen' in row && row.capability ? ((row.tie ? 'tie' : 'first') satisfies Preference) : null;
  return {
    comparisons: different.flatMap((responses) =>
      capabilities.map((capability) =>
        createComparison({ ...origin, task: row.task, capability, messages, responses }, human),
      ),
    ),
    identical: (pairs.length - different.length) * capabilities.length,
  };
}

/** The split of a prompt that names none: 75 % train, 10 % valid, 15 % test by hash, so that every run agrees. */
export function splitOf(promptId: string): Split {
  const share = Number.parseInt(sha256(`split\0${promptId}`).slice(0, 8), 16) / 2 ** 32;
  return share < 0.75 ? 'train' : share < 0.85 ? 'valid' : 'test';
}

function chooseCapabilities(
  { task, capability }: { readonly task: string; readonly capability?: string | null | undefined },
  taxonomy: Taxonomy,
  at: string,
): readonly Capability[] {
  const known = Object.hasOwn(taxonomy, task) ? taxonomy[task] : undefined;
  if (known === undefined)
    throw invalidArgument(
      `${at}: task`,
      'UNKNOWN_TASK',
      `${at}: the taxonomy has no task ${JSON.stringify(task.slice(0, 64))}, only ${Object.keys(taxonomy).join(', ')}; ` +
        'name one of them or give --taxonomy',
    );
  if (!capability) return known;
  const own = known.filter(({ name }) => name === capability);
  if (own.length > 0) return own;
  throw invalidArgument(
    `${at}: capability`,
    'UNKNOWN_CAPABILITY',
    `${at}: the taxonomy's task ${task} has no capability ${JSON.stringify(capability.slice(0, 64))}, only ` +
      `${known.map(({ name }) => name).join(', ')}; add its definition with --taxonomy`,
  );
}

function pairsOf(responses: readonly string[]): (readonly [string, string])[] {
  return responses.flatMap((a, i) => responses.slice(i + 1).map((b) => [a, b] as const));
}

function badLine(at: string, error: unknown): DmoermError {
  const form =
    'a line is {"messages", "responses": [...], "task"} or {"messages", "chosen", "rejected", "task", "capability"}';
  if (error instanceof z.ZodError) {
    const path = error.issues[0]?.path.join('.') ?? '';
    return invalidArgument(
      `${at}: ${path}`,
      'BAD_RECORD',
      `${at}: ${path}: ${error.issues[0]?.message}; ${form}`,
    );
  }
  if (error instanceof DmoermError)
    return invalidArgument(`${at}: ${error.field}`, error.reason, `${at}: ${error.field}: ${error.message}`);
  return invalidArgument(at, 'BAD_RECORD', `${at} is no JSON; ${form}`);
}
