import { createHash } from 'node:crypto';

/** A number in [0, 1) that depends on `text` and `salt` alone: splits and samples that never change. */
export function hashFraction(text: string, salt: string): number {
  return createHash('sha256').update(`${salt}\0${text}`).digest().readUInt32BE() / 2 ** 32;
}
