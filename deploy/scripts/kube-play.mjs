// `npm run test:kube-play [-- --json FILE]`: plays what the chart renders with podman, see src/kube-play. Long; not in CI.
import { spawnSync } from 'node:child_process';
import { absentPodman, buildImages } from './podman.mjs';

const absent = absentPodman();
if (absent !== null) {
  process.stdout.write(`skipped: kube play (${absent})\n0 passed, 0 failed\n`);
  process.exit();
}
buildImages();
const main = new URL('../dist/kube-play/main.js', import.meta.url).pathname;
process.exitCode =
  spawnSync(process.execPath, [main, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
