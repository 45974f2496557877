import { createClient } from '@dmoerm/client';
import type { Client, ScoreItem } from '@dmoerm/client';
import { QUICK_END, exitStatus, serve } from '../../serve';
import type { Figure, Outcome, Size } from '../figure';
import { probed, sampleMemory } from '../support/memory';
import type { Memory } from '../support/memory';
import { seededItems } from '../support/seeded-items';
import { createSpecFolder } from '../support/spec-folder';

/** Calls in all; the growth is that over the last nine tenths. */
const CALLS: Readonly<Record<Size, number>> = { quick: 400, short: 2000, full: 62_500 };
/** Connections that come and go afterwards. */
const CONNECTIONS: Readonly<Record<Size, number>> = { quick: 100, short: 500, full: 10_000 };
const ITEMS_PER_CALL = 16;
/** Items on their way at once. */
const CONCURRENCY = 4;
const MIB = 1 << 20;
const MOST_GROWTH = 0.05;
const MOST_RSS = 32 * MIB;
/** Live bytes after garbage collection tell a leak of 100 B per call long before resident ones do. */
const MOST_LIVE = 2 * MIB;
/** The planted leak in the full size, bytes per call; shorter ones leak as much in fewer calls. */
const LEAK_BYTES = 100;

/** Memory: what a service holds does not grow with the work it has done. */
export const R5: Figure = {
  id: 'R5',
  title: 'memory',
  threshold:
    'RSS growth <= 5 % and <= 32 MB, live bytes <= 2 MB, no more open files, over the last 90 % of the calls and connections',
  measure: (size) => growth(size, CALLS[size], 0),
  control: (size) => {
    // Half of the calls will do: each of them leaks twice as much.
    const calls = CALLS[size] / 2;
    return growth(size, calls, Math.ceil((LEAK_BYTES * CALLS.full) / calls));
  },
};

async function growth(size: Size, calls: number, leakBytes: number): Promise<Outcome> {
  await using folder = await createSpecFolder();
  const served = await serve(folder.bundle, folder.path, [], {
    ...QUICK_END,
    ...probed(folder.path, leakBytes),
  });
  const { router: address } = served.addresses;
  const sample = (): Promise<Map<string, Memory>> => sampleMemory(served.child.pid ?? 0, folder.path);
  const client = createClient({ address });
  try {
    await connectAgain(address, CONNECTIONS[size] / 10);
    await callAgain(client, Math.ceil(calls / 10));
    const before = await sample();
    await callAgain(client, Math.ceil((9 * calls) / 10));
    await connectAgain(address, CONNECTIONS[size]);
    return verdict(before, await sample(), calls, size);
  } finally {
    client.close();
    served.child.kill('SIGTERM');
    await exitStatus(served.child);
  }
}

async function callAgain(client: Client, calls: number): Promise<void> {
  const batches = Array.from({ length: 8 }, (_, seed) => seededItems(ITEMS_PER_CALL, seed).map(brief));
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < calls) await client.batchScore(batches[next++ % batches.length] ?? []);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
}

/** Memory is what is measured, not the engine: few tokens do. */
function brief(item: ScoreItem): ScoreItem {
  return { ...item, candidates: item.candidates.map((text) => text.slice(0, 12)) };
}

async function connectAgain(address: string, connections: number): Promise<void> {
  for (let i = 0; i < connections; i++) {
    // An own setting keeps the connection from being shared.
    const client = createClient({ address, timeoutMs: 60_000 + i });
    await client.route({ type: 'text', text: 'hello' });
    client.close();
  }
}

function verdict(
  before: ReadonlyMap<string, Memory>,
  after: ReadonlyMap<string, Memory>,
  calls: number,
  size: Size,
): Outcome {
  const services = [...before].map(([name, first]) => {
    const { rss, live, files } = after.get(name) ?? { rss: Infinity, live: Infinity, files: Infinity };
    const grown = rss - first.rss;
    // Resident memory settles in minutes; until then it tells nothing but that the machine has some to give.
    const settled = size !== 'full' || (grown <= MOST_GROWTH * first.rss && grown <= MOST_RSS);
    return {
      holds: settled && live - first.live <= MOST_LIVE && files <= first.files,
      figure: `${name} RSS ${mb(first.rss)} ${signed(grown)}, live ${mb(first.live)} ${signed(live - first.live)}, files ${files - first.files}`,
    };
  });
  const holds = services.length === 3 && services.every((service) => service.holds);
  const figures = services.map(({ figure }) => figure).join('; ');
  return { holds, figure: `${calls * ITEMS_PER_CALL} items: ${figures} (MB)` };
}

function mb(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

function signed(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'}${mb(Math.abs(bytes))}`;
}
