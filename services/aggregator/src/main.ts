import { openBundle } from '@dmoerm/bundle';
import { runService } from '@dmoerm/serving';
import { AGGREGATOR_CONFIG } from './config';
import { createAggregatorService } from './service';

void runService(AGGREGATOR_CONFIG, (config) =>
  createAggregatorService(config, (reference) => openBundle(reference, { cacheDir: config.cacheDir })),
);
