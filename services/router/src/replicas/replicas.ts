import { DmoermError } from '@dmoerm/core';
import { connect } from '@dmoerm/rpc';
import type { CallContext, ClientTls, ConnectOptions, Definition } from '@dmoerm/rpc';
import { logger } from '@dmoerm/telemetry';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hedging } from './hedging';
import { Picker } from './picker';
import { Replica } from './replica';
import type { Attempt } from './replica';
import { ReplicaCall } from './replica-call';
import { parseTarget, resolveTarget } from './target';
import type { Lookup, Target } from './target';

/** How to reach the replicas of a service. */
export interface ReplicasOptions extends Pick<ConnectOptions, 'timeoutMs' | 'maxMessageBytes'> {
  /** Null: plaintext. */
  readonly tls: ClientTls | null;
  /** Name of the service in metrics and errors. */
  readonly peer: string;
  /** As for `parseTarget`. */
  readonly target: string;
  /** After how long a silent replica is asked for a sign of life, and again how long it has for it, milliseconds. */
  readonly silenceMs: number;
  /** How long calls wait when all replicas have just gone, milliseconds. */
  readonly awayMs: number;
  /** Whether calls stay with a silent replica while no other is well: an overloaded one is better than none. */
  readonly keepLast: boolean;
  /** Share of calls that may be asked a second replica when the first is late. */
  readonly hedgeShare: number;
  /** Finds addresses; default the system's resolver. */
  readonly lookup?: Lookup;
}

/** A new replica is seen within this time. */
const RESOLVE_MS = 10_000;
/** After a failure names are resolved sooner, for a replica may have moved; not more often than this. */
const RESOLVE_SOON_MS = 1_000;

/** All replicas of a service behind one name: each call goes to the best of them, and on to another if that one fails. */
export class Replicas<D extends Definition> {
  private readonly picker = new Picker<Replica<D>>();
  private readonly hedging: Hedging;
  private readonly target: Target;
  private readonly closed = new AbortController();
  private resolving: Promise<void> | null = null;
  private resolvedAt = -Infinity;
  private readonly timer: NodeJS.Timeout | undefined;

  /** @throws DmoermError INVALID_ARGUMENT for a target that is none. */
  constructor(
    private readonly definition: D,
    private readonly options: ReplicasOptions,
  ) {
    this.target = parseTarget(options.target);
    this.hedging = new Hedging(options.hedgeShare);
    if (this.target.type === 'name') this.timer = setInterval(() => void this.resolve(), RESOLVE_MS).unref();
  }

  /** Calls a replica, see `ReplicaCall`. @param work units of work, for balancing. @throws DmoermError */
  async call<T>(attempt: Attempt<D, T>, work: number, context: CallContext): Promise<T> {
    if (this.picker.workers.length === 0) await this.resolve();
    const { peer, awayMs } = this.options;
    const { picker, hedging } = this;
    const onDoubt = (replica: Replica<D>, error: DmoermError): void => this.doubt(replica, error);
    return new ReplicaCall({ peer, picker, hedging, awayMs, onDoubt }, attempt, work, context).run();
  }

  /** Resolves when a replica is connected. @throws DmoermError UNAVAILABLE at `deadline`, epoch milliseconds. */
  async waitForReady(deadline: number): Promise<void> {
    await this.resolve();
    while (this.picker.workers.length === 0 && Date.now() + RESOLVE_SOON_MS < deadline) {
      await sleep(RESOLVE_SOON_MS);
      await this.resolve();
    }
    const waits = this.picker.workers.map((replica) => replica.waitForReady(deadline));
    await Promise.any(waits).catch(({ errors }: AggregateError) => {
      throw errors[0] ?? unresolved(this.options.target);
    });
  }

  /** Gives all connections up; calls in flight are finished. */
  close(): void {
    this.closed.abort();
    clearInterval(this.timer);
    for (const replica of this.picker.workers) replica.close();
  }

  private doubt(replica: Replica<D>, { code, reason }: DmoermError): void {
    const { peer } = this.options;
    const { address } = replica;
    const lookAfterMs = this.picker.failed(replica, code === 'INTERNAL' ? 'internal' : 'unreachable');
    if (lookAfterMs !== null) {
      logger.warn({ peer, address, reason }, 'a replica is left out');
      void this.nurse(replica, lookAfterMs);
    }
    // It may have moved.
    if (code === 'UNAVAILABLE' && performance.now() - this.resolvedAt > RESOLVE_SOON_MS) void this.resolve();
  }

  /** Looks after an ejected replica until it serves again. */
  private async nurse(replica: Replica<D>, afterMs: number): Promise<void> {
    const { address } = replica;
    const { peer } = this.options;
    for (let waitMs = afterMs; ; waitMs = this.picker.stillGone(replica)) {
      await sleep(waitMs, undefined, { signal: this.closed.signal, ref: false }).catch(() => undefined);
      if (this.closed.signal.aborted || !this.picker.workers.includes(replica)) return;
      // A call that had no other choice may have found it well.
      if (!this.picker.isEjected(replica) || (await replica.isServing())) break;
    }
    this.picker.succeeded(replica);
    logger.info({ peer, address }, 'a replica is back');
  }

  private resolve(): Promise<void> {
    return (this.resolving ??= this.update().finally(() => (this.resolving = null)));
  }

  /** Replaces the replicas that have gone from the name. What a name server cannot tell now is left as it was. */
  private async update(): Promise<void> {
    this.resolvedAt = performance.now();
    const { peer, target, silenceMs, keepLast, lookup, timeoutMs, maxMessageBytes } = this.options;
    let addresses: readonly string[];
    try {
      addresses = await resolveTarget(this.target, lookup);
    } catch (err) {
      logger.warn({ err, peer, target }, 'a name cannot be resolved; known replicas are kept');
      return;
    }
    if (this.closed.signal.aborted || addresses.length === 0) return;
    const tls = this.options.tls === null ? {} : { tls: named(this.options.tls, this.target) };
    const known = new Set(this.picker.workers.map(({ address }) => address));
    for (const replica of this.picker.workers)
      if (!addresses.includes(replica.address)) {
        this.picker.remove(replica);
        replica.close();
      }
    for (const address of new Set(addresses))
      if (!known.has(address)) {
        const connection = {
          target: address,
          retries: false,
          ...defined({ timeoutMs, maxMessageBytes }),
          ...tls,
        };
        const mayLeave = (): boolean =>
          !keepLast || this.picker.workers.some((one) => one !== replica && !this.picker.isEjected(one));
        const replica = new Replica(address, connect(this.definition, connection), silenceMs, mayLeave);
        this.picker.add(replica);
      }
  }
}

/** Certificates carry the name that people connect to, not the addresses behind it. */
function named(tls: ClientTls, target: Target): ClientTls {
  const nameless = target.type === 'fixed' || isIP(target.host) !== 0 || tls.serverName !== undefined;
  return nameless ? tls : { ...tls, serverName: target.host };
}

function defined<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

function unresolved(target: string): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'NOT_CONNECTED',
    message: `${target} has no addresses; is the name right?`,
    metadata: { target },
  });
}
