export { createEngine } from './engine';
export type {
  Engine,
  EngineInfo,
  EngineMemory,
  EngineOptions,
  EvaluateRequest,
  Evaluation,
  ExpertSpec,
  SharingPlan,
  TaskHandle,
  TaskSpec,
  WeightType,
} from './engine';
export { loadAddon } from './load';
// For other packages' tests.
export { createFakeEngine } from './fake-engine';
