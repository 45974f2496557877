import { invalidArgument } from '@dmoerm/core';
import { isLoopback } from '@dmoerm/rpc';
import type { ClientTls, ServerTls } from '@dmoerm/rpc';

/** The settings that say who may reach a service, see `SERVICE_OPTIONS`. */
export interface SecurityConfig {
  readonly listen: string;
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly tlsClientCa: string | null;
  readonly accessFile: string | null;
  readonly insecure: boolean;
}

/**
 * Refuses settings that protect less than they seem to.
 * @throws DmoermError INVALID_ARGUMENT, reason INSECURE_LISTEN or INCOMPLETE_TLS.
 */
export function checkSecurity(config: SecurityConfig): void {
  const { listen, tlsCert, tlsKey, tlsClientCa, accessFile, insecure } = config;
  if ((tlsCert === null) !== (tlsKey === null))
    throw invalidArgument(
      '--tls-cert',
      'INCOMPLETE_TLS',
      'give --tls-cert and --tls-key together, or neither',
    );
  if (tlsClientCa !== null && (tlsCert === null || accessFile === null))
    throw invalidArgument(
      '--tls-client-ca',
      'INCOMPLETE_TLS',
      "--tls-client-ca verifies callers' certificates: it needs --tls-cert, and --access-file to say what each of them may do",
    );
  if (insecure || isLoopback(listen) || (tlsCert !== null && accessFile !== null)) return;
  throw invalidArgument(
    '--listen',
    'INSECURE_LISTEN',
    `${listen} is open to other machines: give --tls-cert, --tls-key and --access-file, or --insecure if everybody there may ` +
      'read the traffic and swap the model',
  );
}

/** TLS of the server; null: plaintext. Where no token could prove an identity, a client certificate is required. */
export function serverTls(
  { tlsCert, tlsKey, tlsClientCa }: SecurityConfig,
  tokens: boolean,
): ServerTls | null {
  if (tlsCert === null || tlsKey === null) return null;
  return { certificate: tlsCert, key: tlsKey, clientCa: tlsClientCa, clientCertificateRequired: !tokens };
}

/** The settings that say how a service reaches others. */
export interface PeerConfig extends SecurityConfig {
  readonly peerCa: string | null;
  readonly peerName: string | null;
}

/** TLS towards other services: they are shown this service's own certificate. Null: plaintext. */
export function peerTls({ tlsCert, tlsKey, peerCa, peerName }: PeerConfig): ClientTls | null {
  if (peerCa === null) return null;
  return {
    ca: peerCa,
    ...(tlsCert !== null && tlsKey !== null && { identity: { certificate: tlsCert, key: tlsKey } }),
    ...(peerName !== null && { serverName: peerName }),
  };
}
