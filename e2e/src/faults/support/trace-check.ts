import { breachOfConvention } from './trace-conventions';
import { KIND, type Link, type ReceivedSpan } from './trace-sink';
import { TraceTree } from './trace-tree';

const EVALUATE = 'dmoerm.expert.v1.ExpertService/Evaluate';
const AGGREGATE = 'dmoerm.aggregator.v1.AggregatorService/Aggregate';
/** Links of a span at most. */
const MOST_LINKS = 128;

/** The calls that traces begin with: those of a client that is traced, or those that come to a router from one that is not. */
export interface Roots {
  readonly kind: typeof KIND.client | typeof KIND.server;
  readonly method: string;
}

/** What is wrong with the traces of a run. */
export interface TraceReport {
  /** Traces of calls. */
  readonly requests: number;
  /** Of them, those with a second attempt at some hop. */
  readonly retried: number;
  /** What each call lacks, in words; a complete one has no entry. */
  readonly incomplete: readonly string[];
  /** Spans whose parent never came, and spans without a parent that should have one. */
  readonly orphans: number;
  /** Batches. */
  readonly forwards: number;
  /** Batches whose links are not those of their calls, both ways. */
  readonly badLinks: number;
  /** What spans lack of the conventions, in words. */
  readonly unconventional: readonly string[];
}

/** Looks for every edge of every call: client, router, route, each attempt at an expert, queue, batch, aggregator. */
export function checkTraces(spans: readonly ReceivedSpan[], { kind, method }: Roots): TraceReport {
  const tree = new TraceTree(spans);
  const requests = spans.filter((span) => span.parentId === '' && span.kind === kind && span.name === method);
  const forwards = spans.filter(({ name }) => name === 'forward');
  // Calls of clients and batches begin traces; nothing else does.
  const mayBegin = (span: ReceivedSpan): boolean =>
    span.name === 'forward' || (span.kind === kind && span.name.startsWith('dmoerm.reward.'));
  return {
    requests: requests.length,
    retried: requests.filter((request) => tree.below(request).some((span) => attemptOf(span) > 1)).length,
    incomplete: requests.flatMap((request) => missingEdge(tree, request) ?? []),
    orphans: spans.filter((span) =>
      span.parentId === '' ? !mayBegin(span) : tree.get(span.parentId) === undefined,
    ).length,
    forwards: forwards.length,
    badLinks: forwards.filter((forward) => !linksBothWays(tree, forward)).length,
    unconventional: spans.flatMap((span) => breachOfConvention(span) ?? []),
  };
}

/** The first edge that is missing, in words; null for a complete call. */
function missingEdge(tree: TraceTree, request: ReceivedSpan): string | null {
  if (!isOk(request)) return `call: ${request.attributes['rpc.status_code']}`;
  const router =
    request.kind === KIND.server ? request : tree.of(request, KIND.server, request.name).find(isOk);
  if (router?.service !== 'router') return 'client -> router';
  if (tree.of(router, KIND.internal, 'route').length !== 1) return 'router -> route';
  return missingPeer(tree, router, EVALUATE, 'expert') ?? missingPeer(tree, router, AGGREGATE, 'aggregator');
}

/** What is missing between a router's call and the service that answered it, attempt by attempt. */
function missingPeer(tree: TraceTree, router: ReceivedSpan, method: string, service: string): string | null {
  const attempts = tree.of(router, KIND.client, method);
  if (!attempts.some(isOk)) return `router: no answer of the ${service}`;
  const numbers = attempts.map(attemptOf).sort((a, b) => a - b);
  if (numbers.some((number, i) => number !== i + 1))
    return `router: attempts ${numbers.join()} at the ${service}`;
  for (const attempt of attempts) {
    // What failed may have failed on the way.
    const [server, ...more] = tree.of(attempt, KIND.server, method);
    if (more.length > 0 || (server?.service ?? service) !== service) return `router -> ${service}`;
    if (server === undefined && isOk(attempt)) return `router -> ${service}`;
    if (server !== undefined && attemptOf(server) !== attemptOf(attempt)) return `attempt at the ${service}`;
    if (server !== undefined && isOk(server) && service === 'expert' && !wasComputed(tree, server))
      return 'expert -> queue -> forward';
  }
  return null;
}

function attemptOf({ attributes }: ReceivedSpan): number {
  return Number(attributes['dmoerm.attempt'] ?? 1);
}

function isOk({ attributes }: ReceivedSpan): boolean {
  return attributes['rpc.status_code'] === 'OK';
}

/** Whether an expert's call waited in the queue and went into batches. */
function wasComputed(tree: TraceTree, server: ReceivedSpan): boolean {
  const [queue, ...more] = tree.of(server, KIND.internal, 'queue');
  if (queue === undefined || more.length > 0 || queue.links.length === 0) return false;
  const batches = queue.links.map(({ spanId }) => tree.get(spanId));
  return (
    batches.every((batch) => batch?.name === 'forward' && batch.parentId === '') &&
    batches.some((batch) => batch?.spanId === queue.attributes['dmoerm.batch.span_id'])
  );
}

/** Whether a batch links to the queue spans of its calls and they to it, each once, and their items are its size. */
function linksBothWays(tree: TraceTree, forward: ReceivedSpan): boolean {
  const { spanId, links, attributes } = forward;
  const dropped = Number(attributes['dmoerm.batch.links_dropped']);
  const exported = links.filter((link) => link.isSampled);
  const answersTo = (link: Link): boolean =>
    tree
      .get(link.spanId)
      ?.links.filter((back) => back.spanId === spanId && sizeOf(back.attributes) === sizeOf(link.attributes))
      .length === 1;
  const linking = tree.linkingTo(forward).length;
  const items = links.reduce((sum, link) => sum + sizeOf(link.attributes), 0);
  const all =
    dropped === 0
      ? linking === exported.length && items === sizeOf(attributes)
      : links.length === MOST_LINKS && linking >= exported.length && linking <= exported.length + dropped;
  return exported.length > 0 && exported.every(answersTo) && all;
}

function sizeOf(attributes: ReceivedSpan['attributes']): number {
  return Number(attributes['dmoerm.batch.size']);
}
