import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** A certificate as a test wants it, sound unless it says otherwise. */
export interface CertificateOptions {
  /** Subject alternative names: `DNS:a`, `URI:b`, `IP:127.0.0.1`. */
  readonly names: readonly string[];
  /** Default both. */
  readonly usages?: readonly ('server' | 'client')[];
  /** The subject's organization, which Kubernetes takes for a group of users. */
  readonly organization?: string;
  /** Days from now; default -1 to 1. */
  readonly days?: readonly [number, number];
}

/** PEM files of a certificate and its key. */
export interface CertificateFilesOf {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of a test's own. */
export interface Authority {
  /** PEM file of its certificate. */
  readonly ca: string;
  /** Issues a certificate to the files `<name>.crt` and `<name>.key`; a second time replaces them, as a rotation does. */
  issue(name: string, options: CertificateOptions): Promise<CertificateFilesOf>;
  /** The same, signed by a certificate of this authority that may not sign. */
  issueUnder(
    parent: CertificateFilesOf,
    name: string,
    options: CertificateOptions,
  ): Promise<CertificateFilesOf>;
}

/** A certificate signed by its own key. */
export async function selfSign(
  folder: string,
  name: string,
  options: CertificateOptions,
): Promise<CertificateFilesOf> {
  const keys = await generateKeys();
  return write(
    folder,
    name,
    keys,
    await sign(options, { name, publicKey: keys.publicKey }, { name: `CN=${name}`, keys }),
    '',
  );
}

let serial = 1;

/** Makes an authority whose files lie in `folder`. */
export async function createAuthority(folder: string, name: string): Promise<Authority> {
  mkdirSync(folder, { recursive: true });
  const keys = await generateKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: nextSerial(),
    name: `CN=${name}`,
    ...validity([-2, 2]),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  const ca = join(folder, `${name}.ca.crt`);
  replace(ca, root.toString('pem'));
  const own: Signer = { name: root.subject, keys };
  const issueBy = async (signer: Signer, file: string, options: CertificateOptions, chain: string) => {
    const pair = await generateKeys();
    return write(
      folder,
      file,
      pair,
      await sign(options, { name: file, publicKey: pair.publicKey }, signer),
      chain,
    );
  };
  return {
    ca,
    issue: (file, options) => issueBy(own, file, options, ''),
    issueUnder: async (parent, file, options) => {
      const chain = readFileSync(parent.certificate, 'utf8');
      const privateKey = await importKey(readFileSync(parent.key, 'utf8'));
      const { subject } = new x509.X509Certificate(chain);
      return issueBy({ name: subject, keys: { privateKey } }, file, options, chain);
    },
  };
}

interface Signer {
  readonly name: string;
  readonly keys: Pick<webcrypto.CryptoKeyPair, 'privateKey'>;
}

function sign(
  { names, usages = ['server', 'client'], organization, days = [-1, 1] }: CertificateOptions,
  subject: { readonly name: string; readonly publicKey: webcrypto.CryptoKey },
  signer: Signer,
): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    serialNumber: nextSerial(),
    subject: `CN=${subject.name}${organization === undefined ? '' : `,O=${organization}`}`,
    issuer: signer.name,
    ...validity(days),
    signingKey: signer.keys.privateKey,
    publicKey: subject.publicKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.ExtendedKeyUsageExtension(usages.map((usage) => USAGES[usage])),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names.map(toName))]),
    ],
  });
}

/** @param chain PEM of the certificates that go behind this one. */
async function write(
  folder: string,
  name: string,
  keys: webcrypto.CryptoKeyPair,
  certificate: x509.X509Certificate,
  chain: string,
): Promise<CertificateFilesOf> {
  const paths = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  replace(paths.key, await exportKey(keys.privateKey));
  replace(paths.certificate, `${certificate.toString('pem')}\n${chain}`);
  return paths;
}

const USAGES = { server: x509.ExtendedKeyUsage.serverAuth, client: x509.ExtendedKeyUsage.clientAuth };
const NAME_TYPES = { DNS: 'dns', URI: 'url', IP: 'ip', email: 'email' } as const;

function toName(name: string): { type: 'dns' | 'url' | 'ip' | 'email'; value: string } {
  const [kind = '', ...rest] = name.split(':');
  return { type: NAME_TYPES[kind as keyof typeof NAME_TYPES], value: rest.join(':') };
}

function validity([from, to]: readonly [number, number]): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() + from * DAY_MS), notAfter: new Date(Date.now() + to * DAY_MS) };
}

function nextSerial(): string {
  return (serial++).toString(16).padStart(4, '0');
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key);
  return `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString('base64')}\n-----END PRIVATE KEY-----\n`;
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
}

/** Whole or not at all, as those do it who rotate certificates. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
