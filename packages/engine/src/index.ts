export { createEngine } from './engine';
export type {
  Batch,
  Engine,
  EngineInfo,
  EngineMemory,
  EngineOptions,
  Evaluation,
  ExpertSpec,
  Outputs,
  SharingPlan,
  TaskHandle,
  TaskSpec,
  WeightType,
} from './engine';
export { loadAddon } from './load';
// For other packages' tests.
export { createFakeEngine } from './fake-engine';
