export { goldenExpert, readGoldenScores } from './golden-experts';
export type { GoldenScore } from './golden-experts';
export {
  GOLDENS_DIR,
  goldenAdapter,
  goldenBase,
  readExpected,
  readGoldenCases,
  readGoldenGeneration,
  readGoldenGradients,
} from './goldens';
export type { GoldenCase, GoldenGeneration, GoldenGradients } from './goldens';
export { TOLERANCES, relativeError } from './tolerances';
export { startMesh } from './mesh';
export type { Mesh, MeshFactories, MeshPart } from './mesh';
export { SPEC_FEATURES, SPEC_TASKS, createSpecBundle, encodeSpecRouter } from './spec-bundle';
export { MLP_MEANS, MLP_SHAPE, encodeMlp } from './spec-mlp';
export { createAuthority, selfSign } from './certificates';
export type { Authority, CertificateOptions, CertificateFilesOf } from './certificates';
export { noise } from './noise';
