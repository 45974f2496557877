import { join } from 'node:path';

/** Generated messages and grpc-js service definitions, one namespace per proto package. */
export * as commonV1 from './gen/dmoerm/common/v1/common';
export * as rewardV1 from './gen/dmoerm/reward/v1/reward';
export * as expertV1 from './gen/dmoerm/expert/v1/expert';
export * as aggregatorV1 from './gen/dmoerm/aggregator/v1/aggregator';
export * as bundleV1 from './gen/dmoerm/bundle/v1/bundle';
export * as googleRpc from './gen/google/rpc/status';
export * as errorDetails from './gen/google/rpc/error_details';

/** File with the serialised `google.protobuf.FileDescriptorSet` of all protos, for server reflection. */
export const DESCRIPTOR_SET_FILE = join(__dirname, '..', 'src', 'gen', 'descriptors.binpb');
