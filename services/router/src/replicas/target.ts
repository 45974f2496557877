import { invalidArgument } from '@dmoerm/core';
import { lookup as systemLookup } from 'node:dns/promises';

/** Addresses of a host name. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** Where a service is, as people write it. */
export type Target =
  | { readonly type: 'fixed'; readonly addresses: readonly string[] }
  | { readonly type: 'name'; readonly host: string; readonly port: string };

/**
 * Reads `host:port` or `dns:///host:port` (all addresses behind a name) or `ipv4:a:port,b:port` (these).
 * @throws DmoermError INVALID_ARGUMENT, reason `BAD_TARGET`.
 */
export function parseTarget(target: string): Target {
  const fixed = /^ipv[46]:(?!\/)(.+)$/.exec(target)?.[1]?.split(',');
  if (fixed?.every((address) => /^.+:\d{1,5}$/.test(address))) return { type: 'fixed', addresses: fixed };
  const [, host, port] = /^(?:dns:(?:\/\/[^/]*\/)?)?([^/,]+):(\d{1,5})$/.exec(target) ?? [];
  if (host === undefined || port === undefined || fixed !== undefined)
    throw invalidArgument(
      'target',
      'BAD_TARGET',
      `${target} is no address; use host:port, dns:///host:port or ipv4:a:port,b:port`,
    );
  return { type: 'name', host, port };
}

/** The addresses behind a target now, `host:port` each. @throws what the look-up throws. */
export async function resolveTarget(target: Target, lookup: Lookup = lookupAll): Promise<readonly string[]> {
  if (target.type === 'fixed') return target.addresses;
  const found = await lookup(target.host.replace(/^\[(.*)\]$/, '$1'));
  return found.map((ip) => (ip.includes(':') ? `[${ip}]:${target.port}` : `${ip}:${target.port}`));
}

async function lookupAll(host: string): Promise<readonly string[]> {
  return (await systemLookup(host, { all: true })).map(({ address }) => address);
}
