import type { Bundle } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import { logger, metrics } from '@dmoerm/telemetry';

/** A resident revision, as operators see it. */
export interface RevisionInfo {
  readonly revision: string;
  readonly name: string;
  /** Whether it answers requests that pin none. */
  readonly active: boolean;
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
  /** Makes what the service needs of a bundle. */
  readonly prepare: (bundle: Bundle) => Promise<T>;
}

interface Resident<T> {
  readonly revision: string;
  readonly name: string;
  readonly value: T;
  leases: number;
  /** Set by `unload`, which waits until the revision is out of the memory. */
  unloading: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | null;
}

/** Old and new: more would let an operator's mistake fill the memory. */
const MAX_RESIDENT = 2;

/** The revisions in a service's memory, one of them active. Requests pin theirs, so a swap changes no request in flight. */
export class Revisions<T extends AsyncDisposable> {
  private readonly residents = new Map<string, Resident<T>>();
  private active: Resident<T> | null = null;
  /** Loads are done one after another: two at once could exceed the memory. */
  private loading: Promise<unknown> = Promise.resolve();

  constructor(private readonly source: RevisionSource<T>) {}

  /**
   * Loads a bundle beside the others; a resident one stays as it is.
   * @throws DmoermError NOT_FOUND or DATA_LOSS from opening it; RESOURCE_EXHAUSTED, reason `TOO_MANY_BUNDLES`.
   */
  load(reference: string): Promise<RevisionInfo> {
    const loaded = this.loading.then(() => this.loadNext(reference));
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
    metrics.revisionInfo.set({ revision }, 1);
    metrics.swaps.inc({ outcome: 'ok' });
    logger.info({ revision, name: resident.name }, 'revision activated');
    return this.info(resident);
  }

  /** The resident revisions, the active one first. */
  list(): RevisionInfo[] {
    const all = [...this.residents.values()].map((resident) => this.info(resident));
    return all.sort((a, b) => Number(b.active) - Number(a.active));
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

  private async loadNext(reference: string): Promise<RevisionInfo> {
    try {
      const bundle = await this.source.open(reference);
      const { revision } = bundle;
      const { name } = bundle.manifest;
      let resident = this.residents.get(revision);
      if (resident === undefined) {
        if (this.residents.size >= MAX_RESIDENT) throw tooMany();
        resident = {
          revision,
          name,
          value: await this.source.prepare(bundle),
          leases: 0,
          unloading: null,
        };
        this.residents.set(revision, resident);
        logger.info({ revision, name }, 'revision loaded');
      }
      return this.info(resident);
    } catch (error) {
      metrics.bundlesRejected.inc({ outcome: DmoermError.from(error).reason });
      throw error;
    }
  }

  private info(resident: Resident<T>): RevisionInfo {
    return { revision: resident.revision, name: resident.name, active: resident === this.active };
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

function tooMany(): DmoermError {
  return new DmoermError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'TOO_MANY_BUNDLES',
    message: `the service already holds ${MAX_RESIDENT} revisions; unload the one that is not active`,
  });
}
