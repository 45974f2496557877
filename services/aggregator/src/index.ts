export { AGGREGATOR_CONFIG } from './config';
export type { AggregatorConfig } from './config';
export { createAggregatorService } from './service';
