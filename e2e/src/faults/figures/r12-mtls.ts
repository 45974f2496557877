import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KnownIdentity } from '@dmoerm/rpc';
import type { Figure, Outcome } from '../figure';
import { startEdge, type EdgeOptions } from '../support/edge';
import { GOOD_SUBJECT, OTHER_SUBJECT, createPeers, type Peers } from '../support/peers';
import { rotateUnderLoad } from '../support/rotation';

const ROTATIONS = { quick: 1, short: 5, full: 50 } as const;

const identity = (name: string, role: KnownIdentity['role'], subject: string): KnownIdentity => ({
  name,
  role,
  quota: { items: null, tokens: null },
  subjects: [subject],
  tokenDigests: [],
});
const access = [identity('trainer', 'trainer', GOOD_SUBJECT), identity('expert', 'service', OTHER_SUBJECT)];

/** Peers that must not get in, and certificates that change while calls are under way. */
export const R12: Figure = {
  id: 'R12',
  title: 'mutual TLS',
  threshold:
    '100 % of >= 14 kinds of bad peers stopped before the handler; certificates and authorities rotated under load: 0 failed',
  measure: (size) =>
    inFolder(async (folder) => {
      const peers = await createPeers(folder);
      const strict = await attempt(peers, options(peers, true));
      // Where tokens are taken as well, TLS lets callers without a certificate in: the identity stops them.
      const lenient = await attempt(peers, options(peers, false));
      const rotation = await rotateUnderLoad(folder, ROTATIONS[size], (tls) => ({
        kind: 'guarded',
        tls,
        access,
      }));
      return {
        holds: strict.holds && lenient.holds && rotation.holds,
        figure: `certificates demanded: ${strict.figure}; or a token: ${lenient.figure}; ${rotation.figure}`,
      };
    }),
  control: () =>
    inFolder(async (folder) => {
      const peers = await createPeers(folder);
      return attempt(peers, {
        kind: 'guarded',
        tls: { ...peers.server, clientCa: null, clientCertificateRequired: false },
      });
    }),
};

function options(peers: Peers, clientCertificateRequired: boolean): EdgeOptions {
  return {
    kind: 'guarded',
    tls: { ...peers.server, clientCa: peers.authority.ca, clientCertificateRequired },
    access,
  };
}

/** Every bad peer calls, between two calls of a good one. */
async function attempt({ good, bad }: Peers, options: EdgeOptions): Promise<Outcome> {
  await using edge = await startEdge(options);
  const inside: string[] = [];
  const goodBefore = await good.call(edge.address);
  for (const peer of bad) {
    const { handled } = await edge.state();
    const { status } = await peer.call(edge.address);
    const reached = (await edge.state()).handled > handled;
    if (reached || status === 0 || status === 'hang') inside.push(peer.name);
  }
  const goodAfter = await good.call(edge.address);
  const works = goodBefore.status === 0 && goodAfter.status === 0;
  return {
    holds: inside.length === 0 && works,
    figure:
      `${bad.length - inside.length} of ${bad.length} stopped` +
      (inside.length === 0 ? '' : ` (not: ${inside.join(', ')})`) +
      (works ? '' : ', and the good peer too'),
  };
}

async function inFolder(work: (folder: string) => Promise<Outcome>): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-mtls-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
