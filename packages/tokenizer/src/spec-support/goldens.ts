import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Message } from '@dmoerm/core';

const GOLDENS = join(__dirname, '..', '..', '..', 'testing', 'goldens');

/** Ids of a text: as plain text, and with special tokens recognised. */
export interface GoldenText {
  readonly text: string;
  readonly ids: readonly number[];
  readonly rendered_ids: readonly number[];
}

/** Ids of a chat up to the assistant's header, and of an answer with the end of its turn. */
export interface GoldenChat {
  readonly name: string;
  readonly messages: readonly Message[];
  readonly candidate: string;
  readonly prompt_ids: readonly number[];
  readonly candidate_ids: readonly number[];
}

/** What transformers says of one tokenizer. */
export interface TokenizerGolden {
  readonly texts: readonly GoldenText[];
  readonly chats: readonly GoldenChat[];
}

/** Path of a golden file or folder. */
export function goldenPath(...parts: string[]): string {
  return join(GOLDENS, ...parts);
}

/** A golden tokenizer by name. */
export function readGolden(name: 'smollm' | 'qwen2'): TokenizerGolden {
  const read = (file: string): unknown =>
    JSON.parse(readFileSync(goldenPath('tokenizer', name, file), 'utf8'));
  return { texts: read('texts.json') as GoldenText[], chats: read('chats.json') as GoldenChat[] };
}

/** The real base's golden, and its file: $DMOERM_TEST_GGUF, or where the cache keeps bases; null if it is not there. */
export function readRealBase(): TokenizerGolden & { readonly file: string | null } {
  const golden = JSON.parse(readFileSync(goldenPath('smollm2.json'), 'utf8')) as TokenizerGolden & {
    base: [{ file: string; sha256: string }];
  };
  const { file, sha256 } = golden.base[0];
  const cache = process.env['DMOERM_CACHE'] ?? join(homedir(), '.cache', 'dmoerm');
  const places = [process.env['DMOERM_TEST_GGUF'], join(cache, 'bases', sha256, file)];
  return { ...golden, file: places.find((place) => place !== undefined && existsSync(place)) ?? null };
}
