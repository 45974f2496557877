import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SecureClientSessionOptions } from 'node:http2';
import { createToken } from '@dmoerm/rpc';
import { createAuthority, selfSign, type Authority, type CertificateFilesOf } from '@dmoerm/testing';
import { answerOf, frame, openCall, openSession, rewardPath, type RawAnswer } from './raw-call';

/** The name by which the server knows the good peer. */
export const GOOD_SUBJECT = 'URI:spiffe://mesh/trainer';
/** One that it knows, but not as a trainer. */
export const OTHER_SUBJECT = 'URI:spiffe://mesh/expert';

const HANG_MS = 5_000;
const OLD_CIPHERS = 'DEFAULT:@SECLEVEL=0';

/** A caller, and how its call ends. */
export interface Peer {
  readonly name: string;
  call(address: string): Promise<RawAnswer>;
}

/** Certificates of a mesh and of those who would like to belong to it. */
export interface Peers {
  readonly authority: Authority;
  readonly server: CertificateFilesOf;
  readonly good: Peer;
  /** None of them may reach a handler where a client certificate is demanded. */
  readonly bad: readonly Peer[];
}

/** Makes them in `folder`. */
export async function createPeers(folder: string): Promise<Peers> {
  const authority = await createAuthority(folder, 'mesh');
  // Same name, another key: only the signature tells them apart.
  const impostor = await createAuthority(join(folder, 'impostor'), 'mesh');
  const server = await authority.issue('server', { names: ['DNS:localhost', 'IP:127.0.0.1'] });
  const names = [GOOD_SUBJECT];
  const good = await authority.issue('good', { names });
  const ca = readFileSync(authority.ca);
  const tls = (files: CertificateFilesOf | null, options: SecureClientSessionOptions = {}, headers = {}) => {
    const own = files && { cert: readFileSync(files.certificate), key: readFileSync(files.key) };
    return (address: string) => call(address, 'https', { ca, ...own, ...options }, headers);
  };
  const certified = async (
    name: string,
    options: Parameters<Authority['issue']>[1],
    by = authority,
  ): Promise<Peer> => ({
    name,
    call: tls(await by.issue(name.replaceAll(' ', '-'), options)),
  });
  const token = (authorization: string) => tls(null, {}, { authorization });
  const bad: Peer[] = [
    { name: 'plaintext', call: (address) => call(address, 'http', {}, {}) },
    { name: 'no certificate', call: tls(null) },
    await certified('another authority of the same name', { names }, impostor),
    {
      name: 'signed by a certificate that is no authority',
      call: tls(await authority.issueUnder(good, 'leaf', { names })),
    },
    { name: 'self-signed', call: tls(await selfSign(folder, 'self-signed', { names })) },
    await certified('expired', { names, days: [-2, -1] }),
    await certified('not valid yet', { names, days: [1, 2] }),
    await certified('for servers only', { names, usages: ['server'] }),
    await certified('unknown name', { names: ['URI:spiffe://mesh/nobody'] }),
    await certified('name of another type', { names: ['DNS:spiffe://mesh/trainer'] }),
    await certified('two names in one', { names: [`DNS:a, ${GOOD_SUBJECT}`] }),
    await certified('longer name', { names: [`${GOOD_SUBJECT}/2`] }),
    await certified('no name', { names: [] }),
    await certified('another role', { names: [OTHER_SUBJECT] }),
    {
      name: 'TLS 1.1',
      call: tls(good, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: OLD_CIPHERS }),
    },
    { name: 'TLS 1.0', call: tls(good, { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: OLD_CIPHERS }) },
    { name: 'a token that is not known', call: token(`Bearer ${createToken()}`) },
    { name: 'a token that is none', call: token('Bearer letmein') },
    { name: 'a password', call: token(`Basic ${Buffer.from('trainer:trainer').toString('base64')}`) },
    { name: 'good certificate with a bad token', call: tls(good, {}, { authorization: 'Bearer letmein' }) },
  ];
  return { authority, server, good: { name: 'good', call: tls(good) }, bad };
}

async function call(
  address: string,
  scheme: 'http' | 'https',
  options: SecureClientSessionOptions,
  headers: Readonly<Record<string, string>>,
): Promise<RawAnswer> {
  const session = openSession(address, { ...options, servername: 'localhost' }, scheme);
  try {
    const stream = openCall(session, rewardPath('GetModel'), headers);
    const answer = answerOf(stream, HANG_MS);
    stream.end(frame(Buffer.alloc(0)));
    return await answer;
  } finally {
    session.destroy();
  }
}
