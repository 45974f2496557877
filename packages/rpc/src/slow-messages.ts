import type { ServerHttp2Stream } from 'node:http2';

/** Flag of compression and length, before each message. */
const PREFIX_BYTES = 5;

/**
 * Calls `late` when a message of the stream takes longer than `timeoutMs` to arrive. Between messages the caller may take
 * all the time it wants; while the server itself does not read, the clock stands still.
 */
export function limitMessageTime(stream: ServerHttp2Stream, timeoutMs: number, late: () => void): void {
  let prefix = 0;
  let length = 0;
  let missing = 0;
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  const run = (): void => {
    if (prefix + missing > 0 && !stream.isPaused()) timer ??= setTimeout(late, timeoutMs);
  };
  stream.on('data', (chunk: Buffer) => {
    let at = 0;
    while (at < chunk.length) {
      const taken = Math.min(missing, chunk.length - at);
      missing -= taken;
      at += taken;
      if (taken === 0) {
        const byte = chunk[at++] ?? 0;
        length = prefix === 0 ? 0 : length * 256 + byte;
        prefix = (prefix + 1) % PREFIX_BYTES;
        if (prefix === 0) missing = length;
      }
      if (prefix + missing === 0) stop();
    }
    run();
  });
  stream.on('pause', stop);
  stream.on('resume', run);
  stream.once('close', stop);
}
