import { DmoermError, invalidArgument } from '@dmoerm/core';
import { aggregatorV1, expertV1 } from '@dmoerm/protos';
import { DEFAULT_LIMITS, bindService, startServer, toStatus } from '@dmoerm/rpc';
import type { ServiceBinding } from '@dmoerm/rpc';
import { fromTensor, toTensor } from '@dmoerm/serving';
import { SPEC_TASKS } from '@dmoerm/testing';

const HIDDEN_SIZE = 2;

/** A peer that can be told to misbehave. */
export interface SpecPeer<Request> extends AsyncDisposable {
  readonly address: string;
  /** Every request so far. */
  readonly requests: Request[];
  /** Runs before each answer; throw to fail the call, wait to be slow. */
  before: (request: Request, signal: AbortSignal) => Promise<void> | void;
}

/** Candidates with these texts get what they say. */
export const TEXTS = { nan: 'give NaN', long: 'too long' } as const;

/** An expert whose every score is the candidate's length, the second expert's twice that, and so on. */
export function startSpecExpert(address?: string): Promise<SpecPeer<expertV1.EvaluateRequest>> {
  return start(address, (peer) =>
    bindService(expertV1.ExpertServiceService, {
      evaluate: async (request, { signal }) => {
        peer.requests.push(request);
        await peer.before(request, signal);
        const task = SPEC_TASKS.find(({ name }) => name === request.task);
        const capabilities = (task?.capabilities ?? []).map(({ name }) => name);
        return {
          results: request.items.map(({ candidates }) => ({
            candidates: candidates.map((text, c) => evaluate(text, c, capabilities.length)),
          })),
          capabilities,
          digests: { base: 'base', adapters: [], heads: `heads of ${request.task}`, template: 'template' },
          queueNs: 5n,
          engineNs: 7n,
        };
      },
    }),
  );
}

function evaluate(text: string, c: number, k: number): expertV1.CandidateEvaluation {
  if (text === '')
    return {
      outcome: {
        $case: 'error',
        value: toStatus(invalidArgument(`candidates[${c}]`, 'EMPTY_CANDIDATE', '')),
      },
    };
  if (text === TEXTS.long)
    return {
      outcome: { $case: 'error', value: toStatus(invalidArgument(`candidates[${c}]`, 'TOO_LONG', '')) },
    };
  const scores = Float32Array.from({ length: k }, (_, e) =>
    text === TEXTS.nan ? NaN : text.length * (e + 1),
  );
  const embeddings = new Float32Array(k * HIDDEN_SIZE).fill(text.length);
  return {
    outcome: {
      $case: 'outputs',
      value: {
        scores: toTensor(scores, [k]),
        embeddings: toTensor(embeddings, [k, HIDDEN_SIZE]),
        tokenCount: text.length,
        truncated: false,
      },
    },
  };
}

/** An aggregator whose learned reward is the candidate's length, and by other rules 1000 and the rule's number. */
export function startSpecAggregator(): Promise<SpecPeer<aggregatorV1.AggregateRequest>> {
  return start(undefined, (peer) =>
    bindService(aggregatorV1.AggregatorServiceService, {
      aggregate: async (request, { signal }) => {
        peer.requests.push(request);
        await peer.before(request, signal);
        const [n = 0, k = 0] = (request.scores?.shape ?? []).map(Number);
        const embeddings = fromTensor(request.embeddings, [n, k, HIDDEN_SIZE], 'embeddings');
        const learned = request.rule === aggregatorV1.AggregationRule.LEARNED;
        return {
          results: Array.from({ length: n }, (_, i) => ({
            outcome: {
              $case: 'aggregate' as const,
              value: {
                reward: learned ? (embeddings[i * k * HIDDEN_SIZE] ?? NaN) : 1000 + request.rule,
                contributions: Array.from({ length: k }, (__, e) => e),
                expertSpread: 1,
                headSpread: 2,
              },
            },
          })),
        };
      },
    }),
  );
}

/** The error of a peer that is not there. */
export function unavailable(): DmoermError {
  return new DmoermError({ code: 'UNAVAILABLE', reason: 'DRAINING', message: 'draining' });
}

async function start<Request>(
  address = '127.0.0.1:0',
  bind: (peer: SpecPeer<Request>) => ServiceBinding,
): Promise<SpecPeer<Request>> {
  const requests: Request[] = [];
  const peer = {
    address: '',
    requests,
    before: () => undefined,
    [Symbol.asyncDispose]: () => server.drain(),
  };
  const server = await startServer({
    address,
    services: [bind(peer)],
    healthServices: [],
    reflection: false,
    limits: DEFAULT_LIMITS,
    drain: { lameDuckMs: 0, graceMs: 2000 },
  });
  // A peer in service, for those who look whether it is.
  server.setServing('readiness', true);
  peer.address = server.address;
  return peer;
}
