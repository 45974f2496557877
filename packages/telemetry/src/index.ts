export { startTelemetry } from './start-telemetry';
export type { Telemetry, TelemetryOptions } from './start-telemetry';
export { metrics, observeTraced, registry } from './metrics';
export { tracer } from './tracing';
export { describeError, logger } from './logger';
export { ATTRIBUTES, EVENTS, METRICS } from './names.generated';
