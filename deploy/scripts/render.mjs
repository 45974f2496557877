// `npm run render -w deploy`: what is derived and kept: the services' settings in values.schema.json, the plain manifests in
// helm/rendered, dashboards and rules. Needs helm (`npm run tools -w deploy`).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { format } from 'prettier';
import { RENDERED, renderChart } from '../dist/chart.js';
import { generatedFiles } from '../dist/observability/generated.js';
import { SERVICES, settingsSchema } from '../dist/settings-schema.js';

for (const [path, text] of generatedFiles()) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
const file = new URL('../helm/dmoerm/values.schema.json', import.meta.url);
const schema = JSON.parse(readFileSync(file, 'utf8'));
for (const service of Object.keys(SERVICES))
  schema.definitions[`${service}Settings`] = settingsSchema(service);
writeFileSync(file, await format(JSON.stringify(schema), { parser: 'json', printWidth: 110 }));
for (const [name, args] of Object.entries(RENDERED))
  writeFileSync(new URL(`../helm/rendered/${name}.yaml`, import.meta.url), renderChart(args));
