import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GOLDENS_DIR } from './goldens';

/** A conversation and what transformers + PEFT score for it, float32. */
export interface GoldenScore {
  readonly messages: readonly { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }[];
  readonly candidate: string;
  /** Prompt, candidate, end token, invocation tokens. */
  readonly input_ids: readonly number[];
  readonly score: number;
}

/** Folder of an expert on the golden base `llama` that TRL's RewardTrainer trained: `trl-lora`, `trl-top2` or `trl-alora`. */
export function goldenExpert(name: string): string {
  return join(GOLDENS_DIR, 'experts', name);
}

/** Its scores. */
export function readGoldenScores(name: string): GoldenScore[] {
  const lines = readFileSync(join(goldenExpert(name), 'dmoerm_check.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as GoldenScore);
}
