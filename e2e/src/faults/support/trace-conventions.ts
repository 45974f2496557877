import { KIND, type ReceivedSpan } from './trace-sink';

const METHOD = /^dmoerm\.(reward|expert|aggregator|bundle)\.v1\.\w+Service\/\w+$/;
/** What a step inside a process says of itself. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  route: ['dmoerm.revision'],
  queue: ['dmoerm.task', 'dmoerm.queue.wait_ms'],
  forward: [
    'dmoerm.task',
    'dmoerm.revision',
    'dmoerm.batch.size',
    'dmoerm.batch.tokens',
    'gen_ai.usage.input_tokens',
  ],
};

/** What a span lacks of OpenTelemetry's conventions for RPC and of our own, in words; null: nothing. */
export function breachOfConvention({ kind, name, attributes }: ReceivedSpan): string | null {
  if (kind === KIND.internal) {
    const missing =
      STEPS[name]?.find((key) => attributes[key] === undefined) ?? (name in STEPS ? null : 'no name');
    return missing === null ? null : `${name}: ${missing}`;
  }
  const code = attributes['rpc.status_code'];
  const error = attributes['error.type'];
  if (!METHOD.test(name) || attributes['rpc.method'] !== name) return `${name}: rpc.method`;
  if (attributes['rpc.system.name'] !== 'grpc') return `${name}: rpc.system.name`;
  if (typeof code !== 'string' || !/^[A-Z_]+$/.test(code)) return `${name}: rpc.status_code`;
  if (error !== undefined && (error !== code || code === 'OK')) return `${name}: error.type`;
  if (attributes['dmoerm.request.id'] === undefined) return `${name}: dmoerm.request.id`;
  if (kind !== KIND.client) return kind === KIND.server ? null : `${name}: kind ${kind}`;
  if (code !== 'OK' && error === undefined) return `${name}: error.type`;
  return typeof attributes['server.address'] === 'string' ? null : `${name}: server.address`;
}
