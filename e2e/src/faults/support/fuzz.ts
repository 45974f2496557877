import { types } from 'node:util';
import { connect, constants, type ClientHttp2Session } from 'node:http2';
import { Mutator } from './mutate';
import { answerOf, frame, openCall } from './raw-call';
import type { Target } from './seeds';

/** Something that must not happen. */
export interface Finding {
  /** Method, status and the number of the mutant. */
  readonly what: string;
}

const HANG_MS = 20_000;
const AT_ONCE = 16;
/** INTERNAL and UNKNOWN: bugs, for what a caller did wrong has statuses of its own. */
const BUGS = new Set<unknown>([13, 2]);

/** Sends mutants of the targets' messages, several at once; equal seeds send equal ones. */
export async function fuzzWire(targets: readonly Target[], count: number, seed: number): Promise<Finding[]> {
  const mutator = new Mutator(seed);
  const findings: Finding[] = [];
  const sessions = new Map<string, ClientHttp2Session>();
  const sessionTo = (address: string): ClientHttp2Session => {
    const known = sessions.get(address);
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const session = connect(`http://${address}`);
    session.on('error', () => undefined);
    sessions.set(address, session);
    return session;
  };
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      const target = targets[n % targets.length] as Target;
      const message = mutator.mutate(mutator.pick(target.messages));
      const stream = openCall(sessionTo(target.address), target.path, { 'grpc-timeout': '15S' });
      const answer = answerOf(stream, HANG_MS);
      stream.end(frame(message));
      const { status, body } = await answer;
      if (status === 'hang') stream.close(constants.NGHTTP2_CANCEL);
      const hidden = status === 0 ? hiddenBug(target, body) : null;
      if (typeof status === 'string' || BUGS.has(status) || hidden !== null)
        findings.push({
          what: `${target.path} ${hidden ?? status} at mutant ${n}: ${message.subarray(0, 60).toString('hex')}`,
        });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const session of sessions.values()) session.destroy();
  return findings;
}

/** Decodes mutants of the targets' messages; a decoder may refuse, with an error, and must come to an end. */
export function fuzzDecoders(targets: readonly Target[], count: number, seed: number): Finding[] {
  const mutator = new Mutator(seed);
  const findings: Finding[] = [];
  for (let n = 0; n < count; n++) {
    const target = targets[n % targets.length] as Target;
    const message = mutator.mutate(mutator.pick(target.messages));
    const begin = performance.now();
    try {
      target.decodeRequest(message);
    } catch (error) {
      // Not `instanceof`: test runners have an Error of their own.
      if (!types.isNativeError(error))
        findings.push({ what: `${target.path} threw no error at mutant ${n}` });
    }
    if (performance.now() - begin > 1_000)
      findings.push({ what: `${target.path} took a second at mutant ${n}` });
  }
  return findings;
}

/** The message of an item or candidate of an OK answer that has a bug's status, or null. */
function hiddenBug({ decodeResponse }: Target, body: Buffer): string | null {
  const length = body.length < 5 ? 0 : body.readUInt32BE(1);
  return findBug(decodeResponse(body.subarray(5, 5 + length)));
}

function findBug(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return null;
  if ('code' in value && 'message' in value && 'details' in value && BUGS.has(value.code))
    return String(value.message);
  for (const inner of Object.values(value)) {
    const bug = findBug(inner);
    if (bug !== null) return bug;
  }
  return null;
}
