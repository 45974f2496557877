import { createClient } from '@dmoerm/client';
import type { Client } from '@dmoerm/client';
import { DmoermError } from '@dmoerm/core';
import { expertV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { CertificateFilesOf } from '@dmoerm/testing';
import { GatewayCaller } from './gateway';
import type { Expected } from './load';
import { SUBNET, play } from './podman';
import type { PlayedPod } from './podman';
import type { Playable } from './pods';

/** The pods that play, and ways to call them. */
export class Mesh {
  readonly pods: readonly PlayedPod[];
  private readonly clients: { close(): void }[] = [];

  /** @param ca file with the authority of the services' certificates. */
  constructor(
    pods: readonly Playable[],
    private readonly ca: string,
  ) {
    // Routers and gateways are called from this machine, which finds them by address.
    this.pods = pods.map((pod, i) =>
      play(pod, /^dmoerm-(router|gateway)/.test(pod.name) ? `${SUBNET}.${200 + i}` : undefined),
    );
  }

  /** The pods of a service. */
  of(kind: string): PlayedPod[] {
    return this.pods.filter(({ name }) => name.startsWith(`dmoerm-${kind}`));
  }

  /** A client of all routers. */
  client(identity: CertificateFilesOf | null, patient: boolean): Client {
    const addresses = this.of('router').map(({ ip }) => `${ip}:50051`);
    const tls = { ca: this.ca, serverName: 'dmoerm-router', ...(identity !== null && { identity }) };
    const client = createClient({ address: `ipv4:${addresses.join(',')}`, tls, timeoutMs: 60_000, patient });
    this.clients.push(client);
    return client;
  }

  /** A caller of all gateways. */
  gateway(identity: CertificateFilesOf | null): GatewayCaller {
    const caller = new GatewayCaller(
      this.of('gateway').map(({ ip }) => ip),
      this.ca,
      identity,
    );
    this.clients.push(caller);
    return caller;
  }

  /** How one call ends that somebody makes once: `scored`, or the code of its error. */
  async answerTo(identity: CertificateFilesOf | null, { item }: Expected): Promise<string> {
    const signal = AbortSignal.timeout(10_000);
    return this.client(identity, false)
      .score(item, { signal })
      .then(({ candidates }) => (candidates.every(({ type }) => type === 'score') ? 'scored' : 'error'))
      .catch(codeOf);
  }

  /** How a call ends that goes to an expert, past the router. */
  async answerPastRouter(identity: CertificateFilesOf): Promise<string> {
    const [pod] = this.of('expert');
    const tls = { ca: this.ca, serverName: 'dmoerm-expert', identity };
    const expert = connect(expertV1.ExpertServiceService, { target: `${pod?.ip}:50051`, tls });
    const answer = await expert.call
      .evaluate(expertV1.EvaluateRequest.fromPartial({ task: 'chat' }))
      .then(() => 'OK')
      .catch(codeOf);
    expert.close();
    return answer;
  }

  /** Gives all clients up. */
  close(): void {
    for (const client of this.clients) client.close();
  }
}

function codeOf(error: unknown): string {
  return DmoermError.from(error).code;
}
