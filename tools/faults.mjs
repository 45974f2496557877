// `npm run faults -- [R1,R7] [--short|--full]`: builds what is missing, then measures.
import { spawnSync } from 'node:child_process';
import { build, ROOT } from './steps.mjs';

build();
const run = spawnSync(process.execPath, [`${ROOT}/e2e/dist/faults/main.js`, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(run.status ?? 1);
