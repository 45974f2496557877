import { Random } from './model/random';

/** Ids below belong to control tokens in the bases used here. */
const FIRST_ORDINARY = 300;

/** Random ordinary token ids, the same for the same seed. */
export function randomTokens(count: number, vocabSize: number, seed: string): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => random.integer(FIRST_ORDINARY, vocabSize - FIRST_ORDINARY));
}
