// `npm run bench -- NAME ...`: builds what is missing, then measures.
import { spawnSync } from 'node:child_process';
import { build, ROOT } from './steps.mjs';

build();
const run = spawnSync(process.execPath, [`${ROOT}/bench/dist/main.js`, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(run.status ?? 1);
