import { invalidArgument, type Message } from '@dmoerm/core';
import { hashFraction } from '@dmoerm/dataset';
import { readPairs } from '@dmoerm/recipe';
import type { OpenedTokenizer } from '@dmoerm/tokenizer';
import { GOLD_TASKS } from '../gold/gold';
import type { BonSize } from './design';

/** A prompt of the study. */
export interface StudyPrompt {
  readonly id: string;
  readonly task: string;
  readonly split: 'train' | 'valid' | 'test';
  readonly messages: readonly Message[];
  readonly tokens: Int32Array;
  /** Text of the last turn. */
  readonly question: string;
}

/** Prompts, and texts that show which words are known. */
export interface StudyPrompts {
  readonly prompts: readonly StudyPrompt[];
  readonly texts: readonly string[];
}

/**
 * The prompts of each task and split with the smallest hashes, from preference data; no test prompt that opens like one of training. What is
 * trained on them is measured and thrown away: rows of every licence serve.
 * @throws DmoermError as `readPairs`; INVALID_ARGUMENT, reason `TOO_FEW_PROMPTS`.
 */
export async function takePrompts(
  file: string,
  size: BonSize,
  { template }: OpenedTokenizer,
): Promise<StudyPrompts> {
  const { pairs } = await readPairs([file]);
  const wanted = { train: size.trainPrompts, valid: size.validPrompts, test: size.testPrompts };
  const names = new Set(GOLD_TASKS.map(({ name }) => name));
  const known = new Map<string, StudyPrompt>();
  const texts: string[] = [];
  for (const row of pairs) {
    const { messages, task, split } = row;
    if (!names.has(task)) continue;
    if (split === 'train') texts.push(row.chosen, row.rejected, ...messages.map(({ content }) => content));
    const id = JSON.stringify(messages);
    if (known.has(id) || (split === 'test' && row.first_turn_in_train)) continue;
    // One token is about three characters here: texts that are far too long are not worth encoding.
    if (id.length > 8 * size.promptTokens) continue;
    const tokens = Int32Array.from(template.promptTokens(messages));
    if (tokens.length > size.promptTokens) continue;
    const question = messages.at(-1)?.content ?? '';
    known.set(id, { id: row.prompt_id, task, split, messages, tokens, question });
  }
  const prompts: StudyPrompt[] = [];
  for (const { name } of GOLD_TASKS)
    for (const split of ['train', 'valid', 'test'] as const) {
      const own = [...known]
        .filter(([, prompt]) => prompt.task === name && prompt.split === split)
        .sort(([a], [b]) => hashFraction(a, 'best-of-n') - hashFraction(b, 'best-of-n'))
        .slice(0, wanted[split]);
      if (own.length < wanted[split])
        throw invalidArgument(
          '--data',
          'TOO_FEW_PROMPTS',
          `${file} has ${own.length} prompts of task ${name}, split ${split}, of at most ${size.promptTokens} tokens; ${wanted[split]} are needed`,
        );
      prompts.push(...own.map(([, prompt]) => prompt));
    }
  return { prompts, texts };
}
