export { evaluatePairs } from './pairs/evaluate-pairs';
export type { ArmBundles, PairOptions, PairReport } from './pairs/evaluate-pairs';
export { readPairData } from './pairs/pair-data';
export type { PairData } from './pairs/pair-data';
export { pairPage, suitePage } from './report/html';
export { formatPairReport } from './report/pair-table';
export { formatSuiteReport } from './report/suite-table';
export { evaluateSuite } from './suites/evaluate-suite';
export type { SuiteOptions, SuiteReport } from './suites/evaluate-suite';
export { readSuite, SUITE_NAMES } from './suites/read-suite';
// For other packages.
export { fitTemperature, softplus } from './calibration/temperature';
export { bootstrapMean, evaluateMargins, formatMarginsEvaluations } from './pairs/margins-evaluation';
export type { MarginsEvaluation } from './pairs/margins-evaluation';
export { macroF1 } from './pairs/router-report';
export type { Estimate } from './statistics/interval';
export { renderSvg } from './report/svg';
export type { Chart } from './report/svg';
