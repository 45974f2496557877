import { startLoad, type LoadOptions, type TimedCall } from '../faults/support/load-process';
import type { Mesh } from './mesh';

/** What to send with `dmoerm bench load`. */
export interface Traffic extends Partial<Omit<LoadOptions, 'target'>> {
  /** File of conversations. */
  readonly items: string;
}

/** Sends for some seconds, traced from the client on; gives what became of the calls. */
export async function send(
  mesh: Mesh,
  otlpEndpoint: string | null,
  traffic: Traffic,
): Promise<readonly TimedCall[]> {
  const { items, ...options } = traffic;
  const load = await startLoad(
    { ...mesh.fixture, items },
    null,
    {
      target: mesh.target('router'),
      burstsPerS: 4,
      seconds: 10,
      ranks: 2,
      deadlineS: 5,
      seed: 1,
      ...options,
    },
    otlpEndpoint === null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint },
  );
  return load.calls;
}

/** Sends again and again while something happens; failures are part of it. */
export async function whileSending<T>(
  sendOnce: (round: number) => Promise<unknown>,
  something: () => Promise<T>,
): Promise<T> {
  let over = false;
  const sending = (async () => {
    for (let round = 0; !over; round++) await sendOnce(round);
  })();
  try {
    return await something();
  } finally {
    over = true;
    await sending;
  }
}
