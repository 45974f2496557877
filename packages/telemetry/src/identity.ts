/** Who this process is; `startTelemetry` says it once. */
export const identity = { service: 'dmoerm' };
