import { ServerCredentials, credentials, experimental } from '@grpc/grpc-js';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { CertificateFiles } from './certificate-files';

/** TLS of a server; versions below 1.2 are refused. */
export interface ServerTls {
  /** PEM file with the server's certificate. */
  readonly certificate: string;
  /** PEM file with its private key. */
  readonly key: string;
  /** PEM file with the authorities of callers' certificates; null asks for none. */
  readonly clientCa: string | null;
  /** Whether a caller without a certificate is refused; else it may prove itself by a token. */
  readonly clientCertificateRequired: boolean;
}

/** TLS of a client. */
export interface ClientTls {
  /** PEM file with the authorities that sign servers' certificates. */
  readonly ca: string;
  /** PEM files of the client's own certificate and its key, where servers ask for one. */
  readonly identity?: { readonly certificate: string; readonly key: string };
  /** The name that servers' certificates must carry; default the host of the target. */
  readonly serverName?: string;
}

/**
 * Asks callers for no certificate. grpc-js 1.14 declares authorities first and the server's own certificate second, both
 * needed, but takes them the other way round, the authorities or null.
 */
const NO_CA = null as unknown as experimental.CertificateProvider;

/** Credentials of a server; null: plaintext. @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE. */
export function serverCredentials(tls: ServerTls | null): ServerCredentials {
  if (tls === null) return ServerCredentials.createInsecure();
  const { certificate, key, clientCa, clientCertificateRequired } = tls;
  const files = new CertificateFiles({ certificate, key, ...(clientCa !== null && { ca: clientCa }) });
  return experimental.createCertificateProviderServerCredentials(
    files,
    clientCa === null ? NO_CA : files,
    clientCa !== null && clientCertificateRequired,
  );
}

/** Credentials of a client; null: plaintext. @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE. */
export function channelCredentials(tls: ClientTls | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure();
  const { ca, identity } = tls;
  return experimental.createCertificateProviderChannelCredentials(
    new CertificateFiles({ ca }),
    identity === undefined ? null : new CertificateFiles(identity),
  );
}
