import { expertV1 } from '@dmoerm/protos';
import type { CallContext } from '@dmoerm/rpc';
import { Replicas } from './replicas/replicas';
import type { ReplicasOptions } from './replicas/replicas';

/** Where experts are. */
export interface ExpertTargets {
  /** Of every task that `tasks` does not name. */
  readonly rest: string;
  /** By task. */
  readonly tasks: Readonly<Record<string, string>>;
}

type Pool = Replicas<typeof expertV1.ExpertServiceService>;

/** The experts, by task: a cluster can scale busy tasks apart. Tasks with the same target share its replicas. */
export class ExpertPools {
  private readonly pools = new Map<string, Pool>();
  private readonly rest: Pool;
  private readonly tasks: ReadonlyMap<string, Pool>;

  /** @throws DmoermError INVALID_ARGUMENT, reason `BAD_TARGET`. */
  constructor({ rest, tasks }: ExpertTargets, options: Omit<ReplicasOptions, 'target'>) {
    const open = (target: string): Pool => {
      const pool =
        this.pools.get(target) ?? new Replicas(expertV1.ExpertServiceService, { ...options, target });
      this.pools.set(target, pool);
      return pool;
    };
    this.rest = open(rest);
    this.tasks = new Map(Object.entries(tasks).map(([task, target]) => [task, open(target)]));
  }

  /** Asks an expert of the request's task. @throws DmoermError */
  evaluate(request: expertV1.EvaluateRequest, context: CallContext): Promise<expertV1.EvaluateResponse> {
    const candidates = request.items.reduce((sum, item) => sum + item.candidates.length, 0);
    const pool = this.tasks.get(request.task) ?? this.rest;
    return pool.call((calls, options) => calls.evaluate(request, options), candidates, context);
  }

  /** Resolves when each pool has a replica. @throws DmoermError UNAVAILABLE at `deadline`, epoch milliseconds. */
  async waitForReady(deadline: number): Promise<void> {
    await Promise.all([...this.pools.values()].map((pool) => pool.waitForReady(deadline)));
  }

  /** Gives all connections up; calls in flight are finished. */
  close(): void {
    for (const pool of this.pools.values()) pool.close();
  }
}
