import { runService } from '@dmoerm/serving';
import { EXPERT_CONFIG } from './config';
import { createExpertService } from './service';
import { modelsOfBundles } from './source';

void runService(EXPERT_CONFIG, (config) => createExpertService(config, modelsOfBundles(config)));
