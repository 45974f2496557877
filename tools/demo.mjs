// `npm run demo [-- --json FILE]`: builds what is missing, scores examples/conversations.jsonl through the mesh.
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { build, ROOT } from './steps.mjs';

build();
const dmoerm = (args, stdout = 'inherit') =>
  spawnSync(process.execPath, [`${ROOT}/apps/cli/bin/dmoerm.js`, ...args], {
    cwd: ROOT,
    stdio: ['ignore', stdout, 'inherit'],
  }).status;

process.stdout.write('starting router, expert and aggregator, scoring examples/conversations.jsonl\n\n');
const json = process.argv.indexOf('--json');
const score = ['score', 'examples/conversations.jsonl'];
const status =
  json < 0
    ? dmoerm(score)
    : dmoerm([...score, '--output', 'jsonl'], openSync(process.argv[json + 1] ?? 'demo.jsonl', 'w'));
// One item of the examples is broken on purpose: status 1 says that it was told apart from the others.
process.exit(status === 1 ? 0 : (status ?? 1));
