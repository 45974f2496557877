export { activateBundle } from './activate-bundle';
export type { Activated, ActivateOptions } from './activate-bundle';
export { createClient } from './client';
export type { Client, ClientOptions } from './client';
export { createCoalescer } from './coalescer';
export type { CoalescedOptions, Coalescer, CoalescerBounds, CoalescerOptions } from './coalescer';
export type { CallOptions, ConnectionSecurity } from './router-connection';
export type { StreamItem, StreamResult } from './item-stream';
export type { MeshAddresses, MeshOptions } from './mesh-services';
export { withPatience } from './patience';
export { toErrorRecord, toRecord } from './record';
export { rollbackBundle } from './rollback-bundle';
export { shadowReports, startShadow, stopShadow } from './shadow';
export type { Moments, ShadowReport } from './shadow';
export type {
  CandidateResult,
  ItemResult,
  ModelInfo,
  Route,
  Score,
  ScoredItem,
  ScoreItem,
  ScoreOptions,
  Timings,
} from './types';
