// `npm run test:kube [-- --json FILE]`: builds what is missing, then installs the chart on a Kubernetes of its own, see deploy/src/kube. Long;
// the first time it compiles Kubernetes; not in CI.
import { spawnSync } from 'node:child_process';
import { build, ROOT } from './steps.mjs';

build({ native: false });
spawnSync(process.execPath, [`${ROOT}/deploy/scripts/tools.mjs`], { stdio: 'inherit' });
const args = [`${ROOT}/deploy/dist/kube/main.js`, ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
