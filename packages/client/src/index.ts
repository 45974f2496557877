export { activateBundle } from './activate-bundle';
export type { Activated, ActivateOptions, MeshAddresses } from './activate-bundle';
export { createClient } from './client';
export type { CallOptions, Client, ClientOptions, ConnectionSecurity } from './client';
export type { StreamItem, StreamResult } from './item-stream';
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
