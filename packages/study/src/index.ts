export { BON_SIZES } from './bon/design';
export { bonChart, bonTables } from './bon/report';
export { studyBon } from './bon/study-bon';
export type { StudyOptions } from './material';
export { RL_SIZES } from './rl/design';
export { rlChart, rlTables } from './rl/report';
export { studyRl } from './rl/study-rl';
export { rounded } from './tables';
// For the study of mixtures.
export { mean, standardised, uncertaintyWeighted } from './rules';
export type { Rule } from './rules';
export { trainedHeads, trainedRouter, trainedRules } from './trained-task';
