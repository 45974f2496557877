export { EXPERT_CONFIG } from './config';
export type { ExpertConfig } from './config';
export { createExpertService } from './service';
export { modelsOfBundles } from './source';
