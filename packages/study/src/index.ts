export { BON_SIZES } from './bon/design';
export type { BonSize } from './bon/design';
export { bonChart, bonTables, rounded } from './bon/report';
export type { BonReport } from './bon/report';
export { studyBon } from './bon/study-bon';
export type { BonOptions } from './bon/study-bon';
// For the study of mixtures.
export { mean, rulesOf, RULE_NAMES, standardised, uncertaintyWeighted } from './rules';
export type { Rule, RuleName, TaskRules } from './rules';
export { trainedHeads } from './trained-heads';
