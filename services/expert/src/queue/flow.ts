/** How urgent an item is: `background` work gets a small share of the engine while normal work waits. */
export type Priority = 'normal' | 'background';

/** Something that waits for the engine. */
export interface Waiting {
  /** Only entries of the same lane can share a batch: those of one model. Compared by identity. */
  readonly lane: unknown;
  /** Who asks: clients get equal shares of the engine. */
  readonly client: string;
  readonly priority: Priority;
  /** When it should be answered, epoch milliseconds: the order among entries of one client and priority. */
  readonly due: number;
  /** Cost in the engine. */
  readonly tokens: number;
}

/** Entries of one client and priority: the earliest due first, in the order of arrival where due at the same time. */
export class Flow<E extends Waiting> {
  private readonly entries: E[] = [];
  private total = 0;

  /**
   * @param weight Its share of the engine in proportion to other flows.
   * @param start Virtual time (tokens served per weight) at which its next entry starts; the least goes first.
   */
  constructor(
    readonly weight: number,
    public start: number,
  ) {}

  get length(): number {
    return this.entries.length;
  }

  get tokens(): number {
    return this.total;
  }

  add(entry: E): void {
    this.entries.splice(this.placeAfter(entry.due), 0, entry);
    this.total += entry.tokens;
  }

  /** Whether the entry was in the flow, and is no more. */
  remove(entry: E): boolean {
    // Those due at the same time lie just before the place of the next one.
    const index = this.entries.lastIndexOf(entry, this.placeAfter(entry.due) - 1);
    if (index < 0) return false;
    this.entries.splice(index, 1);
    this.total -= entry.tokens;
    return true;
  }

  /** The next entry, of any lane or of one. */
  first(lane?: unknown): E | undefined {
    return lane === undefined ? this.entries[0] : this.entries.find((entry) => entry.lane === lane);
  }

  /** Tokens that go before an entry due then. */
  tokensDueBy(due: number): number {
    return this.entries.slice(0, this.placeAfter(due)).reduce((sum, { tokens }) => sum + tokens, 0);
  }

  [Symbol.iterator](): Iterator<E> {
    return this.entries.values();
  }

  /** The index behind all entries due by then. */
  private placeAfter(due: number): number {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.entries[middle]?.due ?? Infinity) <= due) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
