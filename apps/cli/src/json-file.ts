import { writeFileSync } from 'node:fs';

/** Writes the result of a command for programs, if the caller named a file. */
export function writeJson(file: string | undefined, result: unknown): void {
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(result)}\n`);
}
