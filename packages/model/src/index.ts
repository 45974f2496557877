export { checkExpert, readCheckRecords } from './check-expert';
export type { CheckedExpert, CheckRecord, CheckResult } from './check-expert';
export { fingerprint } from './fingerprint';
export { loadModel } from './model';
export type {
  CandidateOutput,
  Model,
  ModelEvaluation,
  ModelOptions,
  PreparedItem,
  TaskDigests,
} from './model';
export { prepareItem } from './prepare';
export type { EvaluateItem, PreparedCandidate, Renderer, TokenItem } from './prepare';
