export { BON_SIZES } from './bon/design';
export type { BonSize } from './bon/design';
export { bonChart, bonTables } from './bon/report';
export { rounded } from './tables';
export { RL_SIZES } from './rl/design';
export type { RlSize } from './rl/design';
export { rlChart, rlTables } from './rl/report';
export { studyRl } from './rl/study-rl';
export type { RlReport } from './rl/study-rl';
export type { BonReport } from './bon/report';
export { studyBon } from './bon/study-bon';
export type { StudyOptions } from './material';
// For the study of mixtures.
export { mean, standardised, uncertaintyWeighted } from './rules';
export type { Rule } from './rules';
export { trainedHeads, trainedRouter, trainedRules } from './trained-task';
