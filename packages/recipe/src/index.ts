export { collectExamples } from './examples';
export { extractEmbeddings } from './extract';
export { trainResearchRouter } from './research-router';
export type { ResearchRouterReport } from './research-router';
export { PROBE_TASKS } from './taxonomy';
export { trainProbe } from './train';
export type { TrainProbeOptions } from './train';
