import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DmoermError } from '@dmoerm/core';

const GOLDENS = join(__dirname, '..', '..', '..', 'testing', 'goldens');

/** Names of all golden bases or adapters. */
export function goldenNames(kind: 'bases' | 'adapters'): string[] {
  return readdirSync(join(GOLDENS, kind)).toSorted();
}

/** A golden base as `openBase` takes it. */
export function goldenBase(name: string): string {
  const folder = join(GOLDENS, 'bases', name);
  return name.startsWith('gguf-') ? join(folder, `${name}.gguf`) : folder;
}

/** A golden adapter's folder. */
export function goldenAdapter(name: string): string {
  return join(GOLDENS, 'adapters', name);
}

/** A folder for one spec file's own files; `remove` it after all tests. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), 'dmoerm-weights-'));
  #count = 0;

  write(bytes: Uint8Array | string, name = `${this.#count++}.bin`): string {
    const path = join(this.folder, name);
    writeFileSync(path, bytes);
    return path;
  }

  /** A copy of a folder in which one JSON file has some keys changed; undefined removes a key. */
  copy(folder: string, file: string, change: Record<string, unknown>): string {
    const copy = join(this.folder, `copy-${this.#count++}`);
    cpSync(folder, copy, { recursive: true });
    const json = JSON.parse(readFileSync(join(copy, file), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(copy, file), JSON.stringify({ ...json, ...change }));
    return copy;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** The DmoermError that an action ends with; fails if it ends well or with any other error. */
export async function failure(action: () => Promise<unknown>): Promise<DmoermError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof DmoermError) return error;
    throw error;
  }
  throw new Error('the action should have failed');
}
