import { setTimeout as sleep } from 'node:timers/promises';
import { progress } from './progress';
import { median } from './records';

/** Time in which threads that still spin after their last work go to sleep, ms. */
const SETTLE_MS = 100;

/** One who takes part in a case. */
export interface Contestant {
  readonly name: string;
  /** Does the work once or more often; seconds of each time. */
  run(): Promise<readonly number[]>;
}

/**
 * Lets all contestants do a case in turns, `rounds` times, so that whatever changes on the machine meets everybody.
 * @returns seconds by name, those of all rounds
 */
export async function takeTurns(
  label: string,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Map<string, number[]>> {
  const seconds = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const { name, run } of contestants) {
      await sleep(SETTLE_MS);
      const times = await run();
      seconds.get(name)?.push(...times);
      progress(`${label}, round ${round + 1} of ${rounds}, ${name}: ${median(times).toFixed(3)} s`);
    }
  return seconds;
}
