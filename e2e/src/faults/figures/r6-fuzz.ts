import { createClient } from '@dmoerm/client';
import { rewardV1 } from '@dmoerm/protos';
import { exitStatus, serve } from '../../serve';
import type { Figure, Outcome, Size } from '../figure';
import { startEdge } from '../support/edge';
import { mutateFrames, sendBytes } from '../support/frames';
import { fuzzDecoders, fuzzWire, type Finding } from '../support/fuzz';
import { goodTraffic } from '../support/good-traffic';
import { Mutator } from '../support/mutate';
import { rewardPath } from '../support/raw-call';
import { seedRequests, type Target } from '../support/seeds';
import { createSpecFolder } from '../support/spec-folder';

interface Scale {
  /** Messages sent to the mesh. */
  readonly wire: number;
  /** Messages decoded here. */
  readonly decoded: number;
  /** Conversations with changed frames. */
  readonly frames: number;
}

const SCALES: Readonly<Record<Size, Scale>> = {
  quick: { wire: 600, decoded: 5_000, frames: 200 },
  short: { wire: 10_000, decoded: 100_000, frames: 2_000 },
  full: { wire: 100_000, decoded: 900_000, frames: 10_000 },
};
/** Equal seeds give equal mutants: a finding names the seed that makes it again. */
const SEED = 20_261;
const FRAMES_AT_ONCE = 20;
const FRAMES_WAIT_MS = 100;

/** Hostile messages and frames against a whole mesh. */
export const R6: Figure = {
  id: 'R6',
  title: 'fuzz',
  threshold:
    '>= 1 M mutated messages, 100,000 on the wire, 10,000 frame mutations: 0 crashes, hangs, INTERNAL or UNKNOWN; good traffic 100 % OK',
  measure: (size) => fuzzMesh(SCALES[size]),
  control: fuzzWithoutDefence,
};

async function fuzzMesh({ wire, decoded, frames }: Scale): Promise<Outcome> {
  await using folder = await createSpecFolder();
  const served = await serve(folder.bundle, folder.path);
  const client = createClient({ address: served.addresses.router });
  try {
    const targets = await seedRequests(served.addresses);
    const attack = async (): Promise<Finding[]> => [
      ...fuzzDecoders(targets, decoded, SEED),
      ...(await fuzzWire(targets, wire, SEED)),
      ...(await fuzzFrames(targets, frames)),
    ];
    const attacked = attack();
    const good = await goodTraffic(() => client.score(GOOD), attacked, 1);
    const findings = await attacked;
    const crashed = served.child.exitCode !== null || served.child.signalCode !== null;
    return {
      holds: findings.length === 0 && !crashed && good.failed === 0,
      figure:
        `${decoded} decoded, ${wire} and ${frames} on the wire: ${findings.length} findings, ` +
        `${crashed ? 'a crash' : '0 crashes'}, good traffic ${good.failed} of ${good.calls} failed${describe([...findings.map(({ what }) => what), ...good.failures])}`,
    };
  } finally {
    client.close();
    served.child.kill('SIGTERM');
    await exitStatus(served.child);
  }
}

const GOOD = {
  prompt: { type: 'conversation', messages: [{ role: 'user', content: 'hello' }] },
  candidates: ['yes'],
} as const;

async function fuzzFrames(targets: readonly Target[], count: number): Promise<Finding[]> {
  const mutator = new Mutator(SEED);
  const { address = '', messages = [] } = targets[0] ?? {};
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0)
      await sendBytes(address, mutateFrames(messages[0] ?? Buffer.alloc(0), mutator), FRAMES_WAIT_MS);
  };
  await Promise.all(Array.from({ length: FRAMES_AT_ONCE }, work));
  return [];
}

/** The same mutants against grpc-js as it comes, and against a server with a planted bug: both must be found. */
async function fuzzWithoutDefence(): Promise<Outcome> {
  const { score } = rewardV1.RewardServiceService;
  const found: string[] = [];
  for (const kind of ['stock', 'planted'] as const) {
    await using edge = await startEdge({ kind });
    const target: Target = {
      address: edge.address,
      path: rewardPath('Score'),
      messages: [
        rewardV1.ScoreRequest.encode(
          rewardV1.ScoreRequest.fromPartial({ candidates: ['a', 'b'], options: { lambda: 1 } }),
        ).finish(),
      ],
      decodeRequest: score.requestDeserialize,
      decodeResponse: score.responseDeserialize,
    };
    const findings = await fuzzWire([target], 300, SEED);
    found.push(`${kind}: ${findings.length} of 300 found${describe(findings.map(({ what }) => what))}`);
    if (findings.length === 0) return { holds: true, figure: found.join('; ') };
  }
  return { holds: false, figure: found.join('; ') };
}

function describe(what: readonly string[]): string {
  return what.length === 0 ? '' : ` (${[...new Set(what)].slice(0, 2).join('; ')})`;
}
