import type { ReceivedSpan } from './trace-sink';

/** Spans by their parents, and by the spans that they link to. */
export class TraceTree {
  private readonly byId = new Map<string, ReceivedSpan>();
  private readonly children = new Map<string, ReceivedSpan[]>();
  private readonly linked = new Map<string, ReceivedSpan[]>();

  constructor(spans: readonly ReceivedSpan[]) {
    for (const span of spans) {
      this.byId.set(span.spanId, span);
      add(this.children, span.parentId, span);
      for (const link of span.links) add(this.linked, link.spanId, span);
    }
  }

  get(id: string): ReceivedSpan | undefined {
    return this.byId.get(id);
  }

  /** Children of a kind and name. */
  of(parent: ReceivedSpan, kind: number, name: string): ReceivedSpan[] {
    return this.childrenOf(parent).filter((one) => one.kind === kind && one.name === name);
  }

  /** All spans below one. */
  below(parent: ReceivedSpan): ReceivedSpan[] {
    return this.childrenOf(parent).flatMap((child) => [child, ...this.below(child)]);
  }

  /** Spans that link to one. */
  linkingTo({ spanId }: ReceivedSpan): ReceivedSpan[] {
    return this.linked.get(spanId) ?? [];
  }

  private childrenOf({ spanId }: ReceivedSpan): ReceivedSpan[] {
    return this.children.get(spanId) ?? [];
  }
}

function add(to: Map<string, ReceivedSpan[]>, key: string, span: ReceivedSpan): void {
  const known = to.get(key);
  if (known === undefined) to.set(key, [span]);
  else known.push(span);
}
