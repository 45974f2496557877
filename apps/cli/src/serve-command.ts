import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { invalidArgument } from '@dmoerm/core';
import type { Command } from 'commander';
import { EXIT, fail } from './exit';
import { serviceScript, startMesh, type Mesh, type ServiceName } from './mesh';

const SERVICES: readonly ServiceName[] = ['router', 'expert', 'aggregator', 'gateway'];

/** Where the gateway listens unless told otherwise. */
const DEFAULT_HTTP = '127.0.0.1:8080';

/** `dmoerm serve [service]`. */
export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description(
      'Runs the whole mesh on this machine, or one service by name with its own flags (`dmoerm serve expert --help`).\n' +
        'SIGTERM or Ctrl-C drains: requests in flight are answered first.',
    )
    .argument('[service]', `one of: ${SERVICES.join(', ')}`)
    .argument('[flags...]', 'flags of that service')
    .option('--bundle <ref>', 'directory, digest or known name', 'default')
    .option('--listen <address>', 'address of the router', '127.0.0.1:50051')
    .option(
      '--http <address>',
      `address of the HTTP gateway, or off; default ${DEFAULT_HTTP}, or a free port if that is taken; none beside a secured router`,
    )
    .option('--tls-cert <file>', 'certificate of router and gateway (PEM)')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--tls-client-ca <file>', "authorities of callers' certificates (PEM)")
    .option(
      '--access-file <file>',
      'identities that may call router and gateway (YAML); `dmoerm token` makes tokens',
    )
    .option('--insecure', 'listen to other machines without TLS or identities')
    .option('--ready-file <file>', 'written when every service answers, with the addresses as JSON')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption('--help', 'display help for command')
    .action(async (service: string | undefined, flags: string[], options: ServeOptions) => {
      if (service === undefined) return serveMesh(options);
      const name = SERVICES.find((known) => known === service);
      if (name === undefined)
        throw invalidArgument(
          'service',
          'UNKNOWN_SERVICE',
          `no service is called ${service}; there are ${SERVICES.join(', ')}`,
        );
      return serveOne(name, flags);
    });
}

interface ServeOptions {
  readonly bundle: string;
  readonly listen: string;
  readonly http?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly accessFile?: string;
  readonly insecure?: boolean;
  readonly readyFile?: string;
}

/** Router and gateway are the edge: expert and aggregator listen to this machine only. */
function edgeFlags({ tlsCert, tlsKey, tlsClientCa, accessFile, insecure }: ServeOptions): string[] {
  const files = {
    '--tls-cert': tlsCert,
    '--tls-key': tlsKey,
    '--tls-client-ca': tlsClientCa,
    '--access-file': accessFile,
  };
  return [
    ...Object.entries(files).flatMap(([flag, file]) => (file === undefined ? [] : [flag, file])),
    ...(insecure ? ['--insecure'] : []),
  ];
}

async function serveMesh(options: ServeOptions): Promise<void> {
  const { bundle, listen, readyFile } = options;
  const flags = edgeFlags(options);
  const secured = flags.includes('--tls-cert') || flags.includes('--access-file');
  const http = await httpAddress(options, secured);
  const mesh = await startMesh({
    bundle,
    listen,
    http,
    flags: { router: flags, gateway: flags },
    log: 'inherit',
  });
  const { router, expert, aggregator } = mesh.services;
  const addresses = {
    router: router.address,
    expert: expert.address,
    aggregator: aggregator.address,
    ...(mesh.gateway !== null && { gateway: mesh.gateway.address }),
    metrics: {
      router: router.metrics,
      expert: expert.metrics,
      aggregator: aggregator.metrics,
      ...(mesh.gateway !== null && { gateway: mesh.gateway.metrics }),
    },
    secure: secured ? ['router'] : [],
  };
  if (readyFile !== undefined) await writeFile(readyFile, `${JSON.stringify(addresses)}\n`);
  const front =
    mesh.gateway === null ? '' : `, API and playground ${scheme(options)}://${mesh.gateway.address}`;
  process.stderr.write(`ready: router ${router.address}${front}, metrics ${router.metrics ?? 'off'}\n`);
  const reason = await Promise.race([stopSignal(), mesh.died]);
  await mesh.stop();
  if (typeof reason !== 'string') fail(reason);
}

/**
 * Where the gateway listens; null: nowhere. One that nobody asked for must not keep the mesh from starting: it takes another port if
 * its own is taken, and stays away from a router that would want to know who it is.
 */
async function httpAddress({ http, listen }: ServeOptions, secured: boolean): Promise<string | null> {
  if (http !== undefined) return http === 'off' ? null : http;
  if (secured) return null;
  const free = '127.0.0.1:0';
  return listen.endsWith(':0') || !(await isFree(DEFAULT_HTTP)) ? free : DEFAULT_HTTP;
}

async function isFree(address: string): Promise<boolean> {
  const [host, port] = address.split(':');
  const server = createServer().listen(Number(port), host);
  try {
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

function scheme({ tlsCert }: ServeOptions): string {
  return tlsCert === undefined ? 'http' : 'https';
}

/** Resolves with the name of the signal that asks this process to end. */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

async function serveOne(name: ServiceName, flags: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [serviceScript(name), ...flags], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? EXIT.itemsFailed;
}

/** Runs `work` on a mesh that lives as long as it takes; a service that dies meanwhile fails it. */
export async function withMesh<T>(bundle: string, work: (mesh: Mesh) => Promise<T>): Promise<T> {
  const mesh = await startMesh({ bundle, listen: '127.0.0.1:0', http: null, log: 'quiet' });
  const died = mesh.died.then((error) => {
    throw error;
  });
  died.catch(() => undefined);
  try {
    return await Promise.race([work(mesh), died]);
  } finally {
    await mesh.stop();
  }
}
