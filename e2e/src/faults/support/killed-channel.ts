import { commonV1, expertV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import { Client, credentials, type ChannelOptions } from '@grpc/grpc-js';

/** Makes a call to whichever replica; rejects if it is lost. */
export interface Caller {
  call(request: expertV1.EvaluateRequest): Promise<unknown>;
  close(): void;
}

/** The connection that trainers have to routers. */
export function ourChannel(target: string): Caller {
  const { call, close } = connect(expertV1.ExpertServiceService, { target });
  return { call: (request) => call.evaluate(request), close };
}

/** grpc-js with the same retry policy, and its own retry buffers. */
export function stockChannel(target: string): Caller {
  return withPolicy(target, { maxTokens: 1000, tokenRatio: 1 }, {});
}

/** The same with our buffers, and the throttle that gRPC's documentation shows. */
export function throttledChannel(target: string): Caller {
  const buffers = { 'grpc.per_rpc_retry_buffer_size': 1 << 26, 'grpc.retry_buffer_size': 1 << 28 };
  return withPolicy(target, { maxTokens: 10, tokenRatio: 0.1 }, buffers);
}

function withPolicy(
  target: string,
  retryThrottling: { readonly maxTokens: number; readonly tokenRatio: number },
  options: ChannelOptions,
): Caller {
  const { path, requestSerialize, responseDeserialize } = expertV1.ExpertServiceService.evaluate;
  const retryPolicy = {
    maxAttempts: 4,
    initialBackoff: '0.05s',
    maxBackoff: '1s',
    backoffMultiplier: 2,
    retryableStatusCodes: ['UNAVAILABLE'],
  };
  const serviceConfig = {
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [{ name: [{}], retryPolicy }],
  };
  const client = new Client(target, credentials.createInsecure(), {
    'grpc.service_config': JSON.stringify({ ...serviceConfig, retryThrottling }),
    ...options,
  });
  return {
    call: (request) =>
      new Promise<void>((resolve, reject) =>
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error) =>
          error ? reject(error) : resolve(),
        ),
      ),
    close: () => client.close(),
  };
}

/** A message of about so many bytes that an expert answers at once: a conversation that it refuses, unread. */
export function messageOf(bytes: number): expertV1.EvaluateRequest {
  return expertV1.EvaluateRequest.fromPartial({
    task: 'chat',
    items: [
      {
        prompt: {
          $case: 'conversation',
          value: { messages: [{ role: commonV1.Role.ASSISTANT, content: 'x'.repeat(bytes) }] },
        },
        candidates: ['y'],
      },
    ],
  });
}

/** Keeps `inFlight` calls under way until `over`; returns how many were made, and of those that were lost the messages. */
export async function keepCalling(
  caller: Caller,
  request: expertV1.EvaluateRequest,
  inFlight: number,
  over: AbortSignal,
): Promise<{ readonly calls: number; readonly lost: readonly string[] }> {
  let calls = 0;
  const lost: string[] = [];
  const work = async (): Promise<void> => {
    while (!over.aborted) {
      calls += 1;
      await caller.call(request).catch((error: unknown) => lost.push(String(error)));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  return { calls, lost };
}
