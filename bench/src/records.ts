/** One measured figure, beside at most one peer; the record that scripts read. */
export interface BenchRecord {
  /** Name of the command. */
  readonly bench: string;
  /** What was measured, for people; one row of the table. */
  readonly case: string;
  /** The same for scripts, e.g. `{ tokens: 512 }`. */
  readonly parameters?: Readonly<Record<string, string | number>>;
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
  /** What it is compared with. Without `peer_value` that peer is not installed or cannot do it: see `note`. */
  readonly peer?: string;
  /** In `unit` too. */
  readonly peer_value?: number;
  /** value / peer_value */
  readonly ratio?: number;
  /** Goal of the design: for `ratio` where there is a peer, else for `value`. */
  readonly goal?: number;
  /** Whether the goal is reached. */
  readonly holds?: boolean;
  /** What a reader must know to trust the figure, e.g. that a part was measured and scaled. */
  readonly note?: string;
}

/** A record without its comparison. */
export type Measured = Omit<BenchRecord, 'peer' | 'peer_value' | 'ratio' | 'goal' | 'holds'>;

/** What a figure is compared with; null: the peer is absent. */
export interface Comparison {
  readonly peer: string;
  readonly value: number | null;
  readonly note?: string;
}

/** A bound that the design sets. */
export interface Goal {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
}

/** The record of a figure beside a peer's; a goal bounds value / peer value. */
export function compare(measured: Measured, { peer, value, note }: Comparison, goal?: Goal): BenchRecord {
  const notes = [measured.note, note].filter((one) => one !== undefined).join('; ');
  const record = { ...measured, peer, ...(notes === '' ? {} : { note: notes }) };
  if (value === null) return record;
  const ratio = measured.value / value;
  return { ...record, peer_value: value, ratio, ...judge(ratio, goal) };
}

/** The record of a figure whose goal bounds the value itself. */
export function judged(measured: Measured, goal?: Goal): BenchRecord {
  return { ...measured, ...judge(measured.value, goal) };
}

function judge(figure: number, goal?: Goal): Pick<BenchRecord, 'goal' | 'holds'> {
  if (goal === undefined) return {};
  return { goal: goal.value, holds: goal.bound === 'at least' ? figure >= goal.value : figure <= goal.value };
}

/** Middle value; the mean of the two middle ones for even counts. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.floor(half)] ?? NaN) + (sorted[Math.ceil(half) - 1] ?? NaN)) / 2;
}
