import { existsSync } from 'node:fs';
import { open, readFile, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { corrupt, DmoermError } from '@dmoerm/core';
import { z } from 'zod';
import type { Reply } from './decide';

const text = z.string().nullable();
const cost = z.number().nonnegative().nullable();
const entrySchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('reply'),
    key: z.string(),
    step: z.enum(['first', 'larger', 'repair']),
    time: z.string(),
    model: text,
    system_fingerprint: text,
    content: text,
    refusal: text,
    finish_reason: text,
    usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullable(),
    latency_ms: z.number(),
    tries: z.number(),
    cost,
  }),
  // A try that ended without an answer after it was sent: the endpoint may charge for it.
  z.object({ type: z.literal('lost'), key: z.string(), time: z.string(), reason: z.string(), cost }),
  // An answer that ended the run, with what the endpoint said.
  z.object({
    type: z.literal('stop'),
    key: z.string(),
    time: z.string(),
    status: z.number(),
    body: z.string(),
  }),
]);

/** A line of a journal. `cost`: money in the currency of the price table, null without one. */
export type JournalEntry = z.infer<typeof entrySchema>;
/** A journalled answer. */
export type JournalReply = Extract<JournalEntry, { type: 'reply' }>;

/** Everything that was paid for, on disk before it counts. */
export interface Journal {
  /** Replies to a question, in the order of their arrival. */
  replies(key: string): readonly JournalReply[];
  /** All entries, in the order of the file. */
  entries(): readonly JournalEntry[];
  /** Resolves when the entry is on the disk. */
  append(entry: JournalEntry): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a journal of JSON lines, or makes one unless it is `readOnly`. A last line that a crash cut short is removed.
 * @throws DmoermError DATA_LOSS, field `file:line`, for a bad line elsewhere: it is no trace of a crash.
 */
export async function openJournal(file: string, { readOnly = false } = {}): Promise<Journal> {
  const entries = await readJournal(file, readOnly);
  const replies = new Map<string, JournalReply[]>();
  for (const entry of entries) index(replies, entry);
  const writer = readOnly ? null : await createWriter(file);
  return {
    replies: (key) => replies.get(key) ?? [],
    entries: () => entries,
    append: async (entry) => {
      if (writer === null) throw new Error('the journal is open for reading only');
      await writer.write(`${JSON.stringify(entry)}\n`).catch((cause: unknown) => {
        throw unwritable(cause);
      });
      entries.push(entry);
      index(replies, entry);
    },
    close: async () => writer?.close(),
  };
}

/** Of two answers to the same step (two runs on one journal) the first counts. */
function index(replies: Map<string, JournalReply[]>, entry: JournalEntry): void {
  if (entry.type !== 'reply') return;
  const own = replies.get(entry.key) ?? [];
  if (!own.some(({ step }) => step === entry.step)) replies.set(entry.key, [...own, entry]);
}

async function readJournal(file: string, readOnly: boolean): Promise<JournalEntry[]> {
  if (!existsSync(file)) return [];
  const bytes = await readFile(file);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end < bytes.length && !readOnly) await truncate(file, end);
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1);
  return lines.map((line, i) => {
    try {
      return entrySchema.parse(JSON.parse(line));
    } catch {
      throw corrupt(
        `${file}:${i + 1}`,
        'BAD_JOURNAL',
        `${file}, line ${i + 1} is no journal entry; restore the file, or remove the line to ask that question again`,
      );
    }
  });
}

interface Writer {
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

/** Writes what has gathered while the last write was on its way to the disk, in one go. */
async function createWriter(file: string): Promise<Writer> {
  const fresh = !existsSync(file);
  const handle = await open(file, 'a');
  if (fresh) await syncFolder(dirname(file));
  let waiting: string[] = [];
  let next: Promise<void> | null = null;
  let current: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    const lines = waiting.join('');
    waiting = [];
    next = null;
    await handle.appendFile(lines);
    await handle.datasync();
  };
  return {
    write: (line) => {
      waiting.push(line);
      next ??= current = current.then(flush);
      return next;
    },
    close: async () => {
      await current.catch(() => undefined);
      await handle.close();
    },
  };
}

/** Without its journal a run would pay for answers that nobody keeps. */
function unwritable(cause: unknown): DmoermError {
  return new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'JOURNAL_UNWRITABLE',
    field: '--output',
    message: `the journal cannot be written (${cause instanceof Error ? cause.message : 'unknown'}); nothing more is asked`,
    cause,
  });
}

/** A new file's name is on the disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A reply in the terms of decisions. */
export function toReply({ step, content, refusal, finish_reason }: JournalReply): Reply {
  return { step, content, refusal, finishReason: finish_reason };
}

/** What the journal's entries have cost so far; null if none of them has a price. */
export function spentIn(entries: readonly JournalEntry[]): number | null {
  const costs = entries.flatMap((entry) =>
    entry.type !== 'stop' && entry.cost !== null ? [entry.cost] : [],
  );
  return costs.length === 0 ? null : costs.reduce((sum, one) => sum + one, 0);
}
