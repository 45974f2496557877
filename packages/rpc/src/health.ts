import { HealthImplementation } from 'grpc-health-check';

const ALIVE = 'liveness';
const READY = 'readiness';

/**
 * The `grpc.health.v1` states of a server. `liveness` serves while the process does; `readiness`, the server as a whole
 * (the empty name) and every name of its own start as NOT_SERVING. The empty name follows `readiness`.
 */
export class Health {
  readonly implementation: HealthImplementation;
  private readonly names: Set<string>;

  constructor(services: readonly string[]) {
    this.names = new Set(['', READY, ...services]);
    this.implementation = new HealthImplementation({ [ALIVE]: 'SERVING' });
    for (const name of this.names) this.implementation.setStatus(name, 'NOT_SERVING');
  }

  /** Says whether a service serves. */
  set(service: string, serving: boolean): void {
    this.names.add(service);
    const state = serving ? 'SERVING' : 'NOT_SERVING';
    this.implementation.setStatus(service, state);
    if (service === READY) this.implementation.setStatus('', state);
  }

  /** Takes everything but `liveness` out of service. */
  stop(): void {
    for (const name of this.names) this.implementation.setStatus(name, 'NOT_SERVING');
  }
}
