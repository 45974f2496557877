import { Flow } from './flow';
import type { Priority, Waiting } from './flow';

/** Tokens of each priority that are served in the time of one background token. */
const WEIGHTS: Readonly<Record<Priority, number>> = { normal: 8, background: 1 };

/**
 * Who goes next. Flows (one per client and priority) share the engine by weight, as start-time fair queueing has it: each
 * has a virtual time that its tokens move on, the flow that is furthest behind goes first, and one that was away starts at
 * the present instead of catching up. Inside a flow the earliest due entry goes first. No flow can starve another, and
 * inside a flow nothing that comes after an entry's due time can pass it.
 */
export class FairLine<E extends Waiting> {
  private readonly flows = new Map<string, Flow<E>>();
  /** Virtual time of what was served last. */
  private clock = 0;
  private count = 0;
  private total = 0;

  get length(): number {
    return this.count;
  }

  get tokens(): number {
    return this.total;
  }

  add(entry: E): void {
    const key = keyOf(entry);
    let flow = this.flows.get(key);
    if (flow === undefined) {
      flow = new Flow(WEIGHTS[entry.priority], this.clock);
      this.flows.set(key, flow);
    }
    if (flow.length === 0) flow.start = Math.max(flow.start, this.clock);
    flow.add(entry);
    this.counted(entry, 1);
  }

  /** Whether the entry waited; it does no more. */
  remove(entry: E): boolean {
    const removed = this.flows.get(keyOf(entry))?.remove(entry) ?? false;
    if (removed) this.counted(entry, -1);
    return removed;
  }

  /** Tokens of the client and priority that wait. */
  tokensOf(like: Pick<Waiting, 'client' | 'priority'>): number {
    return this.flows.get(keyOf(like))?.tokens ?? 0;
  }

  /** Tokens that would be served before an entry like this, plus `own` more of its kind, if it came now. */
  ahead(like: Pick<Waiting, 'client' | 'priority' | 'due'>, own: number): number {
    const flow = this.flows.get(keyOf(like)) ?? new Flow<E>(WEIGHTS[like.priority], this.clock);
    const before = flow.tokensDueBy(like.due);
    const end = Math.max(flow.start, this.clock) + (before + own) / flow.weight;
    let others = 0;
    for (const other of this.flows.values())
      if (other !== flow) others += Math.min(other.tokens, Math.max(0, end - other.start) * other.weight);
    return before + others;
  }

  /**
   * Takes the next batch: entries of one lane, in the order of their turns, until one does not fit; that one is not
   * passed by smaller ones. The first is taken even if it exceeds the budget alone.
   */
  take(maxTokens: number): E[] {
    const batch: E[] = [];
    let tokens = 0;
    for (;;) {
      const next = this.next(batch[0]?.lane);
      if (next === null) break;
      const { flow, entry } = next;
      if (batch.length > 0 && tokens + entry.tokens > maxTokens) break;
      flow.remove(entry);
      this.counted(entry, -1);
      this.clock = Math.max(this.clock, flow.start);
      flow.start += entry.tokens / flow.weight;
      batch.push(entry);
      tokens += entry.tokens;
    }
    this.forget();
    return batch;
  }

  *[Symbol.iterator](): Generator<E, void, void> {
    for (const flow of this.flows.values()) yield* flow;
  }

  private next(lane: unknown): { readonly flow: Flow<E>; readonly entry: E } | null {
    let best: { readonly flow: Flow<E>; readonly entry: E } | null = null;
    for (const flow of this.flows.values()) {
      const entry = flow.first(lane);
      if (entry === undefined) continue;
      const lead = best === null ? -1 : flow.start - best.flow.start || entry.due - best.entry.due;
      if (lead < 0) best = { flow, entry };
    }
    return best;
  }

  /** What a flow without entries has had counts as long as it is ahead of the others; without others it does not matter. */
  private forget(): void {
    for (const [key, flow] of this.flows)
      if (flow.length === 0 && (this.count === 0 || flow.start <= this.clock)) this.flows.delete(key);
  }

  private counted({ tokens }: E, sign: 1 | -1): void {
    this.count += sign;
    this.total += sign * tokens;
  }
}

function keyOf({ client, priority }: Pick<Waiting, 'client' | 'priority'>): string {
  return `${priority} ${client}`;
}
