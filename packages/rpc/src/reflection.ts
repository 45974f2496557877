import { DESCRIPTOR_SET_FILE } from '@dmoerm/protos';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { readFileSync } from 'node:fs';

/** The gRPC reflection service (v1 and v1alpha) for the named services. */
export function createReflection(services: string[]): ReflectionService {
  return new ReflectionService(loadFileDescriptorSetFromBuffer(readFileSync(DESCRIPTOR_SET_FILE)), {
    services,
  });
}
