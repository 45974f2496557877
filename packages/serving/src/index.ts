export { createHost } from './host';
export type { HostConfig, HostParts, Service } from './host';
export { SERVICE_OPTIONS } from './options';
export { writeReadyFile } from './ready-file';
export type { Readiness } from './ready-file';
export { Revisions } from './revisions';
export type { Lease, RevisionInfo, RevisionSource } from './revisions';
export { runService } from './run';
export { fromTensor, toRows, toTensor } from './tensor';
