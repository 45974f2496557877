/** What happens when: the clock of a simulation. Events of the same moment happen in the order in which they were planned. */
export class Events {
  private readonly heap: Event[] = [];
  private planned = 0;
  private time = 0;

  /** Seconds since the beginning. */
  get now(): number {
    return this.time;
  }

  /** Plans something. @param at seconds since the beginning, not before now. */
  at(at: number, run: () => void): void {
    const { heap } = this;
    const event = { at, order: this.planned++, run };
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Event;
      if (!isBefore(event, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = event;
  }

  /** Lets everything happen, and what that plans, until nothing is left. */
  run(): void {
    for (let event = this.take(); event !== undefined; event = this.take()) {
      this.time = event.at;
      event.run();
    }
  }

  private take(): Event | undefined {
    const { heap } = this;
    const [first] = heap;
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Event)) child++;
      const below = heap[child];
      if (below === undefined || !isBefore(below, last)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
