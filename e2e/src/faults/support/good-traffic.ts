import { setImmediate as turn } from 'node:timers/promises';

/** What well-behaved callers saw. */
export interface Traffic {
  readonly calls: number;
  readonly failed: number;
  /** Milliseconds. */
  readonly p99: number;
  readonly failures: readonly string[];
}

/** Calls again and again, `atOnce` at a time, until `until` resolves. */
export async function goodTraffic(
  call: () => Promise<unknown>,
  until: Promise<unknown>,
  atOnce = 4,
): Promise<Traffic> {
  const times: number[] = [];
  const failures: string[] = [];
  let over = false;
  void until.finally(() => (over = true)).catch(() => undefined);
  const work = async (): Promise<void> => {
    do {
      const begin = performance.now();
      try {
        await call();
        times.push(performance.now() - begin);
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
      // Callers are not alone in this process.
      await turn();
    } while (!over);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  times.sort((a, b) => a - b);
  const p99 = times[Math.ceil(times.length * 0.99) - 1] ?? Infinity;
  return { calls: times.length + failures.length, failed: failures.length, p99, failures };
}
