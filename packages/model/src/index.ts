export { loadModel } from './model';
export type { CandidateOutput, Model, ModelEvaluation, ModelOptions, TaskDigests } from './model';
export { prepareItem } from './prepare';
export type { EvaluateItem, PreparedCandidate, PreparedItem, Renderer } from './prepare';
