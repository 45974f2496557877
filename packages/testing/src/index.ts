export { GOLDENS_DIR, goldenAdapter, goldenBase, readExpected, readGoldenCases } from './goldens';
export type { GoldenCase } from './goldens';
export { TOLERANCES, relativeError } from './tolerances';
