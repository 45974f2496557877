import { Client } from '@grpc/grpc-js';
import type { ChannelOptions } from '@grpc/grpc-js';
import { bearer } from './bearer';
import { channelCredentials } from './credentials';
import type { ClientTls } from './credentials';

/** How to reach a service. */
export interface ConnectOptions {
  /** Where: `host:port`, `dns:///host:port` (all addresses, in turn) or `ipv4:a:port,b:port`. */
  readonly target: string;
  /** Longest time of a call, milliseconds; a sooner deadline wins. Default 60 s. */
  readonly timeoutMs?: number;
  /** Bytes of one message in either direction. Default 8 MiB. */
  readonly maxMessageBytes?: number;
  /** How often an idle peer with calls in flight is asked for a sign of life, milliseconds. Default 10 s. */
  readonly keepaliveMs?: number;
  /** Whether calls that fail with UNAVAILABLE are made again. Default true; a caller that tries other replicas itself must not. */
  readonly retries?: boolean;
  /** Default plaintext. */
  readonly tls?: ClientTls;
  /** API token that proves the caller's identity. */
  readonly token?: string;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MESSAGE_BYTES = 8 << 20;
const DEFAULT_KEEPALIVE_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
const CHANNEL_RETRY_BUFFER_BYTES = 256 << 20;
/** A restarted replica should be found again within seconds. */
const FIRST_RECONNECT_BACKOFF_MS = 100;
const MAX_RECONNECT_BACKOFF_MS = 1_000;
const RETRY_POLICY = {
  maxAttempts: 4,
  initialBackoff: '0.05s',
  maxBackoff: '1s',
  backoffMultiplier: 2,
  retryableStatusCodes: ['UNAVAILABLE'],
};

const open = new Map<string, { readonly client: Client; users: number }>();

/**
 * One connection pool per target and options, whoever asks; `release` it as often as it was taken.
 * @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE, or TOKEN_IN_CLEAR for a token that would leave this machine
 *   in plaintext.
 */
export function takeChannel(options: ConnectOptions): { client: Client; release(): void } {
  const settings = channelOptions(options);
  const { target, tls = null, token } = options;
  const key = JSON.stringify([target, settings, tls, token]);
  const entry = open.get(key) ?? {
    client: new Client(target, channelCredentials(tls), {
      ...settings,
      ...(token !== undefined && { interceptors: [bearer(token, target, tls)] }),
    }),
    users: 0,
  };
  open.set(key, entry);
  entry.users += 1;
  let released = false;
  return {
    client: entry.client,
    release: () => {
      if (released) return;
      released = true;
      entry.users -= 1;
      if (entry.users > 0) return;
      open.delete(key);
      entry.client.close();
    },
  };
}

/**
 * Options that let a call survive the death of a replica. A request that outgrows the retry buffers is never retried, and
 * retries stop when more than half of `maxTokens` calls fail at once, both silently: hence their sizes.
 */
export function channelOptions(options: ConnectOptions): ChannelOptions {
  const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MESSAGE_BYTES;
  const serviceConfig = {
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: [{}],
        timeout: duration(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
        ...(options.retries === false ? {} : { retryPolicy: RETRY_POLICY }),
      },
    ],
    retryThrottling: { maxTokens: 1000, tokenRatio: 1 },
  };
  return {
    'grpc.service_config': JSON.stringify(serviceConfig),
    'grpc.service_config_disable_resolution': 1,
    'grpc.per_rpc_retry_buffer_size': Math.max(DEFAULT_MESSAGE_BYTES, maxMessageBytes),
    'grpc.retry_buffer_size': Math.max(CHANNEL_RETRY_BUFFER_BYTES, maxMessageBytes),
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.initial_reconnect_backoff_ms': FIRST_RECONNECT_BACKOFF_MS,
    'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_BACKOFF_MS,
    'grpc.enable_channelz': 0,
    ...(options.tls?.serverName !== undefined && {
      'grpc.ssl_target_name_override': options.tls.serverName,
    }),
  };
}

/** Seconds with all nine digits: grpc-js 1.14 reads the fraction as a number of nanoseconds, so `0.5s` as five of them. */
function duration(ms: number): string {
  const whole = Math.trunc(ms);
  return `${Math.trunc(whole / 1e3)}.${`${(whole % 1e3) * 1e6}`.padStart(9, '0')}s`;
}
