// `npm run test:observability`: builds what is missing, then looks at a mesh in trouble through a real Prometheus, collector and Jaeger.
import { spawnSync } from 'node:child_process';
import { build, ROOT } from './steps.mjs';

build();
for (const script of ['deploy/scripts/observability-tools.mjs', 'e2e/dist/observability/main.js']) {
  const { status } = spawnSync(process.execPath, [`${ROOT}/${script}`], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
