import { openBundle } from '@dmoerm/bundle';
import { runService } from '@dmoerm/serving';
import { ROUTER_CONFIG } from './config';
import { createRouterService } from './service';

void runService(ROUTER_CONFIG, (config) =>
  createRouterService(config, (reference) => openBundle(reference, { cacheDir: config.cacheDir })),
);
