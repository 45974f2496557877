import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { rewardV1 } from '@dmoerm/protos';
import { connect, type ServerTls } from '@dmoerm/rpc';
import { createAuthority, type Authority, type CertificateFilesOf } from '@dmoerm/testing';
import type { Outcome } from '../figure';
import { startEdge, type EdgeOptions } from './edge';
import { goodTraffic } from './good-traffic';
import { GOOD_SUBJECT } from './peers';

/** Files are looked at once a second. */
const NOTICED_MS = 2_000;
/** Connections live this long, so that the load makes new ones all the time. */
const CONNECTION_AGE_MS = 200;

/**
 * Changes authority and both ends' certificates `times` while calls are under way: first everybody trusts the new authority
 * as well, then both ends show certificates of it, then nobody trusts the old one.
 */
export async function rotateUnderLoad(
  folder: string,
  times: number,
  options: (tls: ServerTls) => EdgeOptions,
): Promise<Outcome> {
  const live = {
    ca: join(folder, 'live.ca'),
    server: pair(folder, 'live-server'),
    client: pair(folder, 'live-client'),
  };
  let authority = await createAuthority(folder, 'generation-0');
  replace(live.ca, readFileSync(authority.ca, 'utf8'));
  await install(authority, live, 0);
  const tls = { ...live.server, clientCa: live.ca, clientCertificateRequired: true };
  await using edge = await startEdge({ ...options(tls), limits: { maxConnectionAgeMs: CONNECTION_AGE_MS } });
  const client = connect(rewardV1.RewardServiceService, {
    target: edge.address,
    tls: { ca: live.ca, identity: live.client, serverName: 'localhost' },
  });
  let shown = 0;
  const rotate = async (): Promise<void> => {
    for (let i = 1; i <= times; i++) {
      const next = await createAuthority(folder, `generation-${i}`);
      replace(live.ca, readFileSync(authority.ca, 'utf8') + '\n' + readFileSync(next.ca, 'utf8'));
      await sleep(NOTICED_MS);
      await install(next, live, i);
      await sleep(NOTICED_MS);
      replace(live.ca, readFileSync(next.ca, 'utf8'));
      await sleep(NOTICED_MS);
      authority = next;
      if ((await issuerShown(edge.address, live.client)).includes(`generation-${i}`)) shown += 1;
    }
  };
  try {
    const traffic = await goodTraffic(
      async () => {
        await client.call.getModel({});
        await sleep(2);
      },
      rotate(),
      2,
    );
    return {
      holds: traffic.failed === 0 && shown === times,
      figure: `${shown} of ${times} rotations in force, ${traffic.failed} of ${traffic.calls} calls failed${traffic.failures[0] === undefined ? '' : ` (${traffic.failures[0]})`}`,
    };
  } finally {
    client.close();
  }
}

function pair(folder: string, name: string): CertificateFilesOf {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

/** Certificate and key one after the other, as files are replaced in practice: for a moment they do not fit. */
async function install(
  authority: Authority,
  live: { readonly server: CertificateFilesOf; readonly client: CertificateFilesOf },
  generation: number,
): Promise<void> {
  const server = await authority.issue(`server-${generation}`, { names: ['DNS:localhost', 'IP:127.0.0.1'] });
  const client = await authority.issue(`client-${generation}`, { names: [GOOD_SUBJECT] });
  for (const [from, to] of [
    [server, live.server],
    [client, live.client],
  ] as const) {
    copyFileSync(from.certificate, to.certificate);
    copyFileSync(from.key, to.key);
  }
}

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** The issuer of the certificate that the server shows to a new connection. */
async function issuerShown(address: string, client: CertificateFilesOf): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port: Number(port),
      cert: readFileSync(client.certificate),
      key: readFileSync(client.key),
      rejectUnauthorized: false,
      servername: 'localhost',
      ALPNProtocols: ['h2'],
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(new X509Certificate(socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0)).issuer);
      socket.destroy();
    });
  });
}
