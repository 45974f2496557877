import type { ServiceDefinition } from '@grpc/grpc-js';

/** One method of a ts-proto service definition, whatever its messages are. */
export interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: never) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: never) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

/** A ts-proto service definition: one method definition per method name. */
export type Definition = Readonly<Record<string, Method>>;

/** A definition as grpc-js types it, for its untyped registration calls. */
export type AnyDefinition = ServiceDefinition;

/** Request type of a method. */
export type RequestOf<M> = M extends { requestSerialize: (value: infer Request) => Buffer } ? Request : never;

/** Response type of a method. */
export type ResponseOf<M> = M extends { responseSerialize: (value: infer Response) => Buffer }
  ? Response
  : never;

/** Takes the place of a request message that is no valid protobuf. */
export class MalformedRequest {}

/**
 * The definition with request decoders that return a `MalformedRequest` instead of throwing: grpc-js turns a throwing
 * decoder into INTERNAL, which would page somebody for a caller's garbage.
 */
export function tolerant(definition: AnyDefinition): AnyDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          return method.requestDeserialize(bytes);
        } catch {
          return new MalformedRequest();
        }
      };
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

/** `dmoerm.expert.v1.ExpertService` of a definition. */
export function serviceName(definition: AnyDefinition): string {
  const path = Object.values(definition)[0]?.path ?? '';
  return path.split('/')[1] ?? '';
}
