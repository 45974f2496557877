import { setTimeout as sleep } from 'node:timers/promises';

/** Something that takes work. */
export interface Worker {
  /** Work given to it and not answered yet. */
  readonly outstanding: number;
}

/** Why a replica is doubted. Nothing else counts: an overloaded or a strict replica is not a broken one. */
export type Doubt = 'unreachable' | 'internal';

/** Failures of our own code may be the request's fault: only a row of them speaks against the replica. */
const INTERNAL_IN_A_ROW = 3;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 500;

interface State {
  internal: number;
  /** Ejections since the last answer. */
  ejections: number;
  ejected: boolean;
}

/**
 * Chooses among replicas: the one with the least outstanding work, those chosen longer ago first among equals. A replica
 * that cannot be reached is ejected until it is readmitted; when all are ejected they are tried all the same.
 */
export class Picker<W extends Worker> {
  /** The one chosen longest ago first. */
  private readonly states = new Map<W, State>();
  private readonly waiting = new Set<() => void>();
  private awaySince: number | null = null;

  /** All replicas. */
  get workers(): readonly W[] {
    return [...this.states.keys()];
  }

  /** A new replica takes work at once. */
  add(worker: W): void {
    this.states.set(worker, { internal: 0, ejections: 0, ejected: false });
    this.awake();
  }

  /** A replica that is no more. */
  remove(worker: W): void {
    this.states.delete(worker);
  }

  /** A replica that is not among `tried`; null if there is none. */
  pick(tried: ReadonlySet<W>): W | null {
    let best: W | null = null;
    for (const worker of this.states.keys())
      if (!tried.has(worker) && (best === null || this.isBetter(worker, best))) best = worker;
    const state = best && this.states.get(best);
    if (best && state) {
      this.states.delete(best);
      this.states.set(best, state);
    }
    return best;
  }

  /** Whether work would go to it only for lack of others. */
  isEjected(worker: W): boolean {
    return this.states.get(worker)?.ejected ?? true;
  }

  /** The replica answered. */
  succeeded(worker: W): void {
    const state = this.states.get(worker);
    if (!state) return;
    const wasEjected = state.ejected;
    Object.assign(state, { internal: 0, ejections: 0, ejected: false });
    if (wasEjected) this.awake();
  }

  /** Since when all replicas have been ejected, as `performance.now()`; null if one is well, or there is none. */
  get allAwaySince(): number | null {
    return this.awaySince;
  }

  /** Resolves when a replica is well again or a new one comes, after `ms`, or when `signal` is aborted. */
  async whenBack(ms: number, signal: AbortSignal): Promise<void> {
    const back = new AbortController();
    const end = (): void => back.abort();
    this.waiting.add(end);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    await sleep(ms, undefined, { signal: back.signal }).catch(() => undefined);
    signal.removeEventListener('abort', end);
    this.waiting.delete(end);
  }

  /** The replica failed. Returns after how many milliseconds to look whether it is back, or null if it stays. */
  failed(worker: W, doubt: Doubt): number | null {
    const state = this.states.get(worker);
    if (!state) return null;
    if (doubt === 'internal' && ++state.internal < INTERNAL_IN_A_ROW) return null;
    if (state.ejected) return null;
    state.ejected = true;
    if ([...this.states.values()].every(({ ejected }) => ejected)) this.awaySince ??= performance.now();
    return backoff(state.ejections++);
  }

  /** It was looked for, and is not back. Returns when to look again, milliseconds. */
  stillGone(worker: W): number {
    const state = this.states.get(worker);
    return backoff(state ? state.ejections++ : 0);
  }

  private awake(): void {
    this.awaySince = null;
    for (const wake of [...this.waiting]) wake();
  }

  private isBetter(worker: W, than: W): boolean {
    const [a, b] = [this.isEjected(worker), this.isEjected(than)];
    return a === b ? worker.outstanding < than.outstanding : !a;
  }
}

function backoff(before: number): number {
  return Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(before, 10));
}
