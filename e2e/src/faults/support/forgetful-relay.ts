import type { DmoermError } from '@dmoerm/core';
import { expertV1 } from '@dmoerm/protos';
import { DEFAULT_LIMITS, bindService, connect, startServer } from '@dmoerm/rpc';
import type { MeshPart } from '@dmoerm/testing';

/** How long the relay waits for an answer, whatever its caller does. */
const PATIENCE_MS = 600_000;

/**
 * The defence taken away: a hop in front of an expert that forgets its caller. Neither deadline nor cancellation passes, so
 * that the expert can refuse and drop nothing: it computes everything, in the order of arrival.
 * @param refuse what the relay does not pass on, and what it answers instead.
 */
export function createForgetfulRelay(
  expert: string,
  refuse: (request: expertV1.EvaluateRequest) => DmoermError | null = () => null,
): MeshPart {
  const next = connect(expertV1.ExpertServiceService, { target: expert, timeoutMs: PATIENCE_MS });
  const relay = bindService(expertV1.ExpertServiceService, {
    evaluate: async (request) => {
      const refusal = refuse(request);
      if (refusal !== null) throw refusal;
      return next.call.evaluate(request);
    },
  });
  let stop = async (): Promise<void> => undefined;
  return {
    start: async () => {
      const server = await startServer({
        address: '127.0.0.1:0',
        services: [relay],
        healthServices: [],
        reflection: false,
        limits: DEFAULT_LIMITS,
        drain: { lameDuckMs: 0, graceMs: 3000 },
      });
      stop = () => server.drain();
      return { address: server.address };
    },
    ready: async () => undefined,
    stop: async () => {
      await stop();
      next.close();
    },
  };
}
