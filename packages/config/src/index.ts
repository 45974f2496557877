export { defineConfig } from './define-config';
export type { ConfigDefinition, ConfigOf, ConfigOption } from './define-config';
export { loadConfig } from './load-config';
export type { ConfigSources } from './load-config';
export { helpRequested, helpText } from './help-text';
export { redact } from './redact';
export { watchFiles } from './watch-files';
