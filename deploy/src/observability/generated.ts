import { join, resolve } from 'node:path';
import { CHART } from '../chart';
import { DASHBOARDS } from './dashboards';
import { buildDashboard } from './dashboards/build';
import { ruleFile } from './rules/rule-file';

/** Where dashboards and rules lie for those who do not use the chart. */
export const OBSERVABILITY = resolve(__dirname, '..', '..', 'observability');

/** Dashboards and rules by the path of their file. A chart cannot read beyond its folder: it has its own, equal ones. */
export function generatedFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const folder of [OBSERVABILITY, join(CHART, 'files')]) {
    files.set(join(folder, 'rules.yaml'), ruleFile());
    for (const spec of DASHBOARDS)
      files.set(
        join(folder, 'dashboards', `${spec.uid}.json`),
        `${JSON.stringify(buildDashboard(spec), null, 2)}\n`,
      );
  }
  return files;
}
