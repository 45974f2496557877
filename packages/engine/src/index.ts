export { createEngine } from './engine';
export type {
  Batch,
  Completion,
  Engine,
  EngineInfo,
  EngineMemory,
  EngineOptions,
  Evaluation,
  ExpertSpec,
  GeneratingEngine,
  GenerationRequest,
  Outputs,
  SharingPlan,
  TaskHandle,
  TaskSpec,
  WeightType,
} from './engine';
export { createTrainer } from './trainer';
export type {
  BatchLoss,
  LearnerSpec,
  LearningBatch,
  LoraShape,
  Pair,
  Trainer,
  TrainerOptions,
  UpdateOptions,
} from './trainer';
export { readLearned, writeLearned } from './learned';
export type { LearnedExpert } from './learned';
export { loadAddon } from './load';
// For other packages' tests.
export { createFakeEngine } from './fake-engine';
