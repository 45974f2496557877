import { KIND, type ReceivedSpan } from './trace-sink';

const SCORE = 'dmoerm.reward.v1.RewardService/Score';
const EVALUATE = 'dmoerm.expert.v1.ExpertService/Evaluate';
const AGGREGATE = 'dmoerm.aggregator.v1.AggregatorService/Aggregate';

/** What is wrong with the traces of a run. */
export interface TraceReport {
  /** Calls of the client. */
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
}

/** Looks for every edge of every call: client, router, route, expert, queue, batch, aggregator. */
export function checkTraces(spans: readonly ReceivedSpan[]): TraceReport {
  const tree = new Tree(spans);
  const requests = spans.filter(
    ({ kind, name, parentId }) => kind === KIND.client && name === SCORE && parentId === '',
  );
  const forwards = spans.filter(({ name }) => name === 'forward');
  return {
    requests: requests.length,
    retried: requests.filter((request) => tree.below(request).some(isRetry)).length,
    incomplete: requests.flatMap((request) => missingEdge(tree, request) ?? []),
    orphans: spans.filter((span) => tree.isOrphan(span)).length,
    forwards: forwards.length,
    badLinks: forwards.filter((forward) => !linksBothWays(tree, forward)).length,
  };
}

function isRetry({ attributes }: ReceivedSpan): boolean {
  return Number(attributes['dmoerm.attempt'] ?? 1) > 1;
}

class Tree {
  private readonly byId = new Map<string, ReceivedSpan>();
  private readonly children = new Map<string, ReceivedSpan[]>();

  constructor(spans: readonly ReceivedSpan[]) {
    for (const span of spans) {
      this.byId.set(span.spanId, span);
      const siblings = this.children.get(span.parentId) ?? [];
      siblings.push(span);
      this.children.set(span.parentId, siblings);
    }
  }

  get(id: string): ReceivedSpan | undefined {
    return this.byId.get(id);
  }

  /** Children of a kind and name. */
  of(parent: ReceivedSpan, kind: number, name: string): ReceivedSpan[] {
    return (this.children.get(parent.spanId) ?? []).filter((one) => one.kind === kind && one.name === name);
  }

  /** All spans below one. */
  below(parent: ReceivedSpan): ReceivedSpan[] {
    return (this.children.get(parent.spanId) ?? []).flatMap((child) => [child, ...this.below(child)]);
  }

  /** Calls of clients and batches begin traces; nothing else does. */
  isOrphan({ parentId, kind, name }: ReceivedSpan): boolean {
    if (parentId === '')
      return name !== 'forward' && !(kind === KIND.client && name.startsWith('dmoerm.reward.'));
    return !this.byId.has(parentId);
  }
}

/** The first edge that is missing, in words; null for a complete call. */
function missingEdge(tree: Tree, request: ReceivedSpan): string | null {
  if (request.attributes['rpc.status_code'] !== 'OK')
    return `client: ${request.attributes['rpc.status_code']}`;
  const router = tree.of(request, KIND.server, SCORE).find(isOk);
  if (router?.service !== 'router') return 'client -> router';
  if (tree.of(router, KIND.internal, 'route').length !== 1) return 'router -> route';
  for (const [name, service] of [
    [EVALUATE, 'expert'],
    [AGGREGATE, 'aggregator'],
  ] as const) {
    const calls = tree.below(router).filter((one) => one.kind === KIND.client && one.name === name);
    if (!calls.some(isOk)) return `router: no answer of the ${service}`;
    for (const call of calls.filter(isOk)) {
      const [server, ...more] = tree.of(call, KIND.server, name);
      if (server?.service !== service || more.length > 0) return `router -> ${service}`;
      if (server.attributes['dmoerm.attempt'] !== (call.attributes['dmoerm.attempt'] ?? 1))
        return `attempt at ${service}`;
      if (name === EVALUATE && !wasComputed(tree, server)) return 'expert -> queue -> forward';
    }
  }
  return null;
}

function isOk({ attributes }: ReceivedSpan): boolean {
  return attributes['rpc.status_code'] === 'OK';
}

/** Whether an expert's call waited in the queue and went into batches. */
function wasComputed(tree: Tree, server: ReceivedSpan): boolean {
  const [queue] = tree.of(server, KIND.internal, 'queue');
  if (queue === undefined || queue.links.length === 0) return false;
  const batches = queue.links.map(({ spanId }) => tree.get(spanId));
  return (
    batches.every((batch) => batch?.name === 'forward' && batch.parentId === '') &&
    batches.some((batch) => batch?.spanId === queue.attributes['dmoerm.batch.span_id'])
  );
}

/** Whether a batch links to the queue spans of its calls and they to it, and their items are its size. */
function linksBothWays(tree: Tree, { spanId, links, attributes }: ReceivedSpan): boolean {
  const back = links.every((link) =>
    tree
      .get(link.spanId)
      ?.links.some((one) => one.spanId === spanId && sizeOf(one.attributes) === sizeOf(link.attributes)),
  );
  const items = links.reduce((sum, link) => sum + sizeOf(link.attributes), 0);
  const dropped = Number(attributes['dmoerm.batch.links_dropped']);
  return back && links.length > 0 && (dropped > 0 || items === sizeOf(attributes));
}

function sizeOf(attributes: ReceivedSpan['attributes']): number {
  return Number(attributes['dmoerm.batch.size']);
}
