import type { Fixture } from './fixture';
import { end, startService, type ServiceName, type ServiceProcess } from './service-process';

/** How many of each service, and their flags. */
export interface ClusterOptions {
  readonly experts: number;
  readonly aggregators: number;
  readonly routers: number;
  readonly routerFlags?: readonly string[];
  /** Of every process. */
  readonly flags?: readonly string[];
  /** What stands between router and an expert: the address to use in its place. */
  readonly through?: (address: string) => Promise<string>;
}

/** A mesh of processes, several of each service. */
export class Cluster implements AsyncDisposable {
  private constructor(private readonly processes: ServiceProcess[]) {}

  /** Starts all; resolves when they are ready. */
  static async start(fixture: Fixture, options: ClusterOptions): Promise<Cluster> {
    const {
      experts,
      aggregators,
      routers,
      routerFlags = [],
      flags = [],
      through = async (address) => address,
    } = options;
    const cluster = new Cluster([]);
    try {
      await Promise.all([
        ...Array.from({ length: experts }, () =>
          cluster.add('expert', fixture, ['--threads', '1', ...flags]),
        ),
        ...Array.from({ length: aggregators }, () => cluster.add('aggregator', fixture, flags)),
      ]);
      const behind = await Promise.all(cluster.all('expert').map(({ address }) => through(address)));
      const peers = [
        ['--expert', `ipv4:${behind.join(',')}`],
        ['--aggregator', cluster.target('aggregator')],
      ].flat();
      for (let n = 0; n < routers; n++)
        await cluster.add('router', fixture, [...peers, ...routerFlags, ...flags]);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The processes of a service. */
  all(name: ServiceName): ServiceProcess[] {
    return this.processes.filter((one) => one.name === name);
  }

  /** All replicas of a service, as clients take them. */
  target(name: ServiceName): string {
    return `ipv4:${this.all(name)
      .map(({ address }) => address)
      .join(',')}`;
  }

  /** Ends the n-th process of a service and starts it again. Returns how it ended. */
  async replace(name: ServiceName, n: number, signal: NodeJS.Signals): Promise<number | string | null> {
    const old = this.all(name)[n];
    if (old === undefined) throw new Error(`there is no ${name} ${n}`);
    const status = await end(old.child, signal);
    this.processes[this.processes.indexOf(old)] = await old.restart();
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.processes.map(async ({ child }) => {
        child.kill('SIGCONT');
        await end(child, 'SIGKILL');
      }),
    );
  }

  private async add(name: ServiceName, fixture: Fixture, flags: readonly string[]): Promise<void> {
    this.processes.push(await startService(name, fixture, flags));
  }
}
