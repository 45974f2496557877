import type { Client } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';
import { fromServiceError } from './service-error';

/** The one method of `grpc.health.v1` that we call. */
const { Check } = service;

/**
 * Asks a server whether it serves as a whole. It makes no span: nobody wants a trace of every look.
 * @throws DmoermError
 */
export async function checkHealth(client: Client, timeoutMs: number): Promise<boolean> {
  if (Check === undefined) throw new Error('grpc-health-check has no Check');
  const { path, requestSerialize, responseDeserialize } = Check;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => { readonly status?: unknown },
      { service: '' },
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        if (error) reject(fromServiceError(error));
        else resolve(response?.status === 'SERVING');
      },
    );
  });
}
