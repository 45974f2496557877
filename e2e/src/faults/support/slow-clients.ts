// A process of clients that begin and do not end: half-sent unary calls and half-sent messages of streams, connections
// without a call, sockets without a word. It says when all are open, and then how many are left.
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { openCall, openSession, prefix, rewardPath } from './raw-call';

/** How many to open, and where. */
export interface SlowClients {
  readonly address: string;
  readonly streams: number;
  readonly idle: number;
}

const STREAMS_PER_CONNECTION = 100;
let left = 0;
let open = false;

const tell = (): void => void (open && process.send?.({ left }));

function track(connection: { once(event: 'close', listener: () => void): unknown }): void {
  left += 1;
  connection.once('close', () => {
    left -= 1;
    tell();
  });
}

async function openAll({ address, streams, idle }: SlowClients): Promise<void> {
  const [host = '', port = ''] = address.split(':');
  for (let opened = 0; opened < streams; opened += STREAMS_PER_CONNECTION) {
    const session = openSession(address);
    await once(session, 'connect');
    for (let n = 0; n < STREAMS_PER_CONNECTION; n++) {
      const stream = openCall(session, rewardPath(n % 2 === 0 ? 'Score' : 'StreamScore'));
      track(stream);
      stream.resume();
      stream.write(Buffer.concat([prefix(100), Buffer.alloc(1)]));
    }
  }
  for (let i = 0; i < idle; i++) {
    const connection =
      i % 2 === 0
        ? openSession(address)
        : connectTcp({ host, port: Number(port) }).on('error', () => undefined);
    if ('resume' in connection) connection.resume();
    track(connection);
    await once(connection, 'connect');
  }
  open = true;
  tell();
}

process.on('disconnect', () => process.exit(0));
void openAll(JSON.parse(process.argv[2] ?? '{}') as SlowClients);
