import { setTimeout as sleep } from 'node:timers/promises';
import type { MeshAddresses } from '@dmoerm/client';
import type { Fixture } from '../faults/support/fixture';
import {
  end,
  startService,
  type ServiceName,
  type ServiceProcess,
  type Within,
} from '../faults/support/service-process';
import { freePort } from './backend';
import { endWithUs } from './no-orphans';
import type { Prometheus } from './prometheus';

/** A process of the mesh, and where Prometheus reads it. */
export interface Watched {
  readonly process: ServiceProcess;
  /** host:port of its metrics page. */
  readonly metrics: string;
}

/** Two experts, an aggregator and a router, all of them watched and traced. */
export class Mesh implements AsyncDisposable {
  private readonly members: Watched[] = [];
  private readonly outsiders: Watched[] = [];

  private constructor(
    readonly fixture: Fixture,
    private readonly prometheus: Prometheus,
    private readonly otlpEndpoint: string | null,
  ) {}

  static async start(fixture: Fixture, prometheus: Prometheus, otlpEndpoint: string | null): Promise<Mesh> {
    const mesh = new Mesh(fixture, prometheus, otlpEndpoint);
    try {
      await mesh.add('expert', ['--threads', '1']);
      await mesh.add('expert', ['--threads', '1']);
      await mesh.add('aggregator');
      await mesh.add('router', [
        '--expert',
        mesh.target('expert'),
        '--aggregator',
        mesh.target('aggregator'),
      ]);
      return mesh;
    } catch (error) {
      await mesh[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts one more process, which nobody calls. */
  async addOutsider(name: ServiceName, within: Within): Promise<Watched> {
    const outsider = await this.launch(name, [], within);
    this.outsiders.push(outsider);
    return outsider;
  }

  /** The n-th process of a service. */
  get(name: ServiceName, n = 0): Watched {
    const found = this.all(name)[n];
    if (found === undefined) throw new Error(`there is no ${name} ${n}`);
    return found;
  }

  /** Where a service answers, as clients take it. */
  target(name: ServiceName): string {
    return `ipv4:${this.all(name)
      .map(({ process }) => process.address)
      .join(',')}`;
  }

  /** All addresses, for operators. */
  get addresses(): MeshAddresses {
    const of = (name: ServiceName): string[] => this.all(name).map(({ process }) => process.address);
    return { routers: of('router'), experts: of('expert'), aggregators: of('aggregator') };
  }

  /** Kills all processes of a service, and starts them again when something is over. */
  async without(name: ServiceName, something: () => Promise<void>): Promise<void> {
    const gone = this.all(name);
    await Promise.all(gone.map(({ process }) => end(process.child, 'SIGKILL')));
    try {
      await something();
    } finally {
      for (const one of gone) await this.restart(one);
    }
  }

  /** Lets all processes of a service stand still for a time. */
  async freeze(name: ServiceName, ms: number): Promise<void> {
    for (const { process } of this.all(name)) process.child.kill('SIGSTOP');
    await sleep(ms);
    for (const { process } of this.all(name)) process.child.kill('SIGCONT');
  }

  /** Starts a process again that has ended. */
  async restart(old: Watched): Promise<Watched> {
    const fresh = { ...old, process: await old.process.restart() };
    endWithUs(fresh.process.child);
    this.members[this.members.indexOf(old)] = fresh;
    return fresh;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.members, ...this.outsiders].map(async ({ process }) => {
        process.child.kill('SIGCONT');
        await end(process.child, 'SIGKILL');
      }),
    );
  }

  private async add(name: ServiceName, flags: readonly string[] = []): Promise<void> {
    this.members.push(await this.launch(name, flags));
  }

  private async launch(name: ServiceName, flags: readonly string[], within?: Within): Promise<Watched> {
    const metrics = `127.0.0.1:${await freePort()}`;
    const traced = this.otlpEndpoint === null ? [] : ['--otlp-endpoint', this.otlpEndpoint];
    const own = [...flags, ...traced, '--metrics-listen', metrics];
    const process = await startService(name, this.fixture, own, undefined, within);
    endWithUs(process.child);
    this.prometheus.watch(metrics);
    return { process, metrics };
  }

  private all(name: ServiceName): Watched[] {
    return this.members.filter(({ process }) => process.name === name);
  }
}
