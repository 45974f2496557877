export { createClient } from './client';
export type { CallOptions, Client, ClientOptions } from './client';
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
