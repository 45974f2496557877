import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DmoermError } from '@dmoerm/core';
import { goldenPath } from './goldens';

/** Copies of the golden `smollm` tokenizer with changes, for one spec file; `remove` them after all tests. */
export class TokenizerFolders {
  readonly #root = mkdtempSync(join(tmpdir(), 'dmoerm-tokenizer-'));
  #count = 0;

  /** A copy with keys of tokenizer.json and tokenizer_config.json changed (undefined removes one) and files added. */
  copy(changes: {
    readonly tokenizer?: Record<string, unknown>;
    readonly config?: Record<string, unknown>;
    readonly files?: Record<string, string>;
  }): string {
    const folder = join(this.#root, `${this.#count++}`);
    cpSync(goldenPath('tokenizer', 'smollm'), folder, { recursive: true });
    this.#change(join(folder, 'tokenizer.json'), changes.tokenizer ?? {});
    this.#change(join(folder, 'tokenizer_config.json'), changes.config ?? {});
    for (const [name, text] of Object.entries(changes.files ?? {})) writeFileSync(join(folder, name), text);
    return folder;
  }

  remove(): void {
    rmSync(this.#root, { recursive: true });
  }

  #change(file: string, values: Record<string, unknown>): void {
    const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...json, ...values }));
  }
}

/** The DmoermError that an action ends with; fails if it ends well or with any other error. */
export async function failure(action: () => unknown): Promise<DmoermError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof DmoermError) return error;
    throw error;
  }
  throw new Error('the action should have failed');
}
