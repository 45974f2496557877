import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy on the loopback device that can be told to misbehave. */
export interface Proxy extends Disposable {
  readonly address: string;
  /** Holds everything back this long, in each direction, milliseconds; the order stays. */
  latencyMs: number;
  /** Resets all connections, as a firewall or a crashed host does. */
  reset(): void;
}

/** Starts a proxy to host:port. */
export async function startProxy(target: string): Promise<Proxy> {
  const [, host = '', port = ''] = /^(.+):(\d+)$/.exec(target) ?? [];
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      const deliver = inOrder(() => proxy.latencyMs);
      from.on('data', (bytes: Buffer) => deliver(() => to.writable && to.write(bytes)));
      from.on('end', () => deliver(() => to.end()));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        deliver(() => to.destroy());
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: Proxy = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    latencyMs: 0,
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    [Symbol.dispose]: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return proxy;
}

/** Runs actions after the latency of their time, none before those that came earlier. */
function inOrder(latencyMs: () => number): (action: () => void) => void {
  let last = 0;
  return (action) => {
    const now = performance.now();
    last = Math.max(last, now + latencyMs());
    if (last <= now) action();
    else setTimeout(action, last - now);
  };
}
