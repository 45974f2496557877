import type { Bundle } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import { logger, metrics } from '@dmoerm/telemetry';

/** A resident revision, as operators see it. */
export interface RevisionInfo {
  readonly revision: string;
  readonly name: string;
  /** Whether it answers requests that pin none. */
  readonly active: boolean;
  /** Memory that it counts for. */
  readonly bytes: number;
  /** Never makes room for another. */
  readonly pinned: boolean;
}

/** A revision held by one request: it stays in memory until the lease is released, unloaded or not. */
export interface Lease<T> extends Disposable {
  readonly revision: string;
  readonly value: T;
}

/** How a service turns bundles into what it serves from. */
export interface RevisionSource<T> {
  /** Opens and verifies a bundle by directory, digest or known name. */
  readonly open: (reference: string) => Promise<Bundle>;
  /** Memory that what `prepare` makes of it takes, bytes; an estimate from the sizes of files. */
  readonly bytes: (bundle: Bundle) => number;
  /** Makes what the service needs of a bundle. */
  readonly prepare: (bundle: Bundle) => Promise<T>;
}

interface Resident<T> {
  readonly revision: string;
  readonly name: string;
  readonly value: T;
  readonly bytes: number;
  pinned: boolean;
  /** Counts activations: which one it was made active by, last; 0: never. */
  activation: number;
  leases: number;
  /** Set by `unload`, which waits until the revision is out of the memory. */
  unloading: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | null;
}

/** The revisions in a service's memory, one of them active. Requests pin theirs, so a swap changes no request in flight. */
export class Revisions<T extends AsyncDisposable> {
  private readonly residents = new Map<string, Resident<T>>();
  private active: Resident<T> | null = null;
  private activations = 0;
  /** Loads are done one after another: two at once could exceed the memory. */
  private loading: Promise<unknown> = Promise.resolve();

  /** @param maxBytes of all resident revisions together; one alone may exceed them. */
  constructor(
    private readonly source: RevisionSource<T>,
    private readonly maxBytes: number,
  ) {}

  /**
   * Loads a bundle beside the others; a resident one stays as it is. Where memory is short, revisions that are neither active,
   * pinned nor held by a request go, the one that was active longest ago first.
   * @throws DmoermError NOT_FOUND or DATA_LOSS from opening it; RESOURCE_EXHAUSTED, reason `BUNDLE_BUDGET`.
   */
  load(reference: string, pinned = false): Promise<RevisionInfo> {
    const loaded = this.loading.then(() => this.loadNext(reference, pinned));
    this.loading = loaded.catch(() => undefined);
    return loaded;
  }

  /** Makes a resident revision the default. @throws DmoermError FAILED_PRECONDITION, reason `REVISION_NOT_LOADED`. */
  activate(revision: string): RevisionInfo {
    const resident = this.residents.get(revision);
    if (resident === undefined) {
      metrics.swaps.inc({ outcome: 'REVISION_NOT_LOADED' });
      throw notLoaded('FAILED_PRECONDITION', revision);
    }
    if (this.active !== null) metrics.revisionInfo.set({ revision: this.active.revision }, 0);
    this.active = resident;
    resident.activation = ++this.activations;
    metrics.revisionInfo.set({ revision }, 1);
    metrics.swaps.inc({ outcome: 'ok' });
    logger.info({ revision, name: resident.name }, 'revision activated');
    return this.info(resident);
  }

  /** The resident revisions: the active one, then those that were, the last one first, then those that never were. */
  list(): RevisionInfo[] {
    return [...this.residents.values()]
      .sort((a, b) => b.activation - a.activation)
      .map((resident) => this.info(resident));
  }

  /**
   * Frees a revision, once the requests that pinned it are answered; new ones cannot pin it any more. Resolves when it is
   * out of the memory: who unloads the router's first knows that no hop asks for it any more.
   * @throws DmoermError NOT_FOUND, reason `REVISION_NOT_LOADED`; FAILED_PRECONDITION, reason `REVISION_ACTIVE`.
   */
  async unload(revision: string): Promise<void> {
    const resident = this.residents.get(revision);
    if (resident === undefined) throw notLoaded('NOT_FOUND', revision);
    if (resident === this.active)
      throw new DmoermError({
        code: 'FAILED_PRECONDITION',
        reason: 'REVISION_ACTIVE',
        field: 'revision',
        message: 'the revision is active; activate another one first',
        metadata: { revision },
      });
    this.residents.delete(revision);
    logger.info({ revision, name: resident.name }, 'revision unloaded');
    await new Promise<void>((resolve, reject) => {
      resident.unloading = { resolve, reject };
      this.freeIfIdle(resident);
    });
  }

  /**
   * Holds a revision for a request; an empty string means the active one.
   * @throws DmoermError FAILED_PRECONDITION, reason `REVISION_NOT_ACTIVE`; UNAVAILABLE, reason `NO_BUNDLE`, while none is.
   */
  pin(revision = ''): Lease<T> {
    const resident = revision === '' ? this.active : this.residents.get(revision);
    if (resident === null) throw noBundle();
    if (resident === undefined) throw notResident(revision);
    resident.leases += 1;
    let released = false;
    return {
      revision: resident.revision,
      value: resident.value,
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        resident.leases -= 1;
        this.freeIfIdle(resident);
      },
    };
  }

  /** Frees all revisions; for the end of the service, when no request is left. */
  async close(): Promise<void> {
    await this.loading;
    this.active = null;
    const all = [...this.residents.values()];
    this.residents.clear();
    for (const { value } of all) await value[Symbol.asyncDispose]();
  }

  private async loadNext(reference: string, pinned: boolean): Promise<RevisionInfo> {
    try {
      const bundle = await this.source.open(reference);
      const { revision } = bundle;
      const { name } = bundle.manifest;
      let resident = this.residents.get(revision);
      if (resident === undefined) {
        const bytes = this.source.bytes(bundle);
        await this.makeRoom(bytes);
        resident = {
          revision,
          name,
          value: await this.source.prepare(bundle),
          bytes,
          pinned,
          activation: 0,
          leases: 0,
          unloading: null,
        };
        this.residents.set(revision, resident);
        logger.info({ revision, name, bytes }, 'revision loaded');
      }
      resident.pinned ||= pinned;
      return this.info(resident);
    } catch (error) {
      metrics.bundlesRejected.inc({ outcome: DmoermError.from(error).reason });
      throw error;
    }
  }

  /** Evicts until `bytes` more fit, or throws and evicts nothing. */
  private async makeRoom(bytes: number): Promise<void> {
    let taken = [...this.residents.values()].reduce((sum, one) => sum + one.bytes, 0);
    const idle = [...this.residents.values()]
      .filter((one) => one !== this.active && !one.pinned && one.leases === 0)
      .sort((a, b) => a.activation - b.activation);
    const evicted: Resident<T>[] = [];
    while (taken + bytes > this.maxBytes && taken > 0) {
      const next = idle.shift();
      if (next === undefined) throw overBudget(bytes, taken, this.maxBytes);
      evicted.push(next);
      taken -= next.bytes;
    }
    // All of them before anything is awaited: none can be pinned any more.
    for (const { revision } of evicted) this.residents.delete(revision);
    for (const { revision, name, value } of evicted) {
      await value[Symbol.asyncDispose]();
      logger.info({ revision, name }, 'revision evicted');
    }
  }

  private info(resident: Resident<T>): RevisionInfo {
    const { revision, name, bytes, pinned } = resident;
    return { revision, name, active: resident === this.active, bytes, pinned };
  }

  private freeIfIdle({ unloading, leases, value }: Resident<T>): void {
    if (unloading === null || leases > 0) return;
    value[Symbol.asyncDispose]().then(unloading.resolve, unloading.reject);
  }
}

function notLoaded(code: 'NOT_FOUND' | 'FAILED_PRECONDITION', revision: string): DmoermError {
  return new DmoermError({
    code,
    reason: 'REVISION_NOT_LOADED',
    field: 'revision',
    message: 'the revision is not loaded here; load its bundle first',
    metadata: { revision: revision.slice(0, 64) },
  });
}

function notResident(revision: string): DmoermError {
  return new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'REVISION_NOT_ACTIVE',
    field: 'revision',
    message: 'this service does not hold the revision; load its bundle, or pin none',
    metadata: { revision: revision.slice(0, 64) },
  });
}

function noBundle(): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'NO_BUNDLE',
    message: 'the service is still loading its bundle; try again soon',
    retryAfterMs: 1000,
  });
}

function overBudget(bytes: number, taken: number, maxBytes: number): DmoermError {
  const mib = (value: number): string => `${Math.ceil(value / 2 ** 20)} MiB`;
  return new DmoermError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'BUNDLE_BUDGET',
    message:
      `the bundle takes ${mib(bytes)}, the revisions here that may not go take ${mib(taken)}, together they may take ` +
      `${mib(maxBytes)}: unload one, or raise maxBundleBytes`,
  });
}
