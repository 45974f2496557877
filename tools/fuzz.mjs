// `npm run fuzz -- [TARGETS] [--seconds N]`: builds what is missing, then fuzzes the readers of files in TypeScript and, where there is a
// clang with libFuzzer, those in C++. Ends with a line `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { build, ROOT, step } from './steps.mjs';

const NATIVE = ['tensor', 'packed_file'];
const args = process.argv.slice(2);
const at = args.indexOf('--seconds');
const seconds = at < 0 ? 60 : Number(args[at + 1]);
const named = args[0]?.startsWith('-') === false ? args[0].split(',') : null;
const native = NATIVE.filter((name) => named?.includes(name) ?? true);
const others = named?.filter((name) => !NATIVE.includes(name));
let passed = 0;
let failed = 0;

if (others?.length !== 0) {
  build();
  const list = named === null ? [] : [others.join(',')];
  const rest = args.filter((_, i) => named === null || i > 0);
  const { stdout, status } = spawnSync(
    process.execPath,
    [`${ROOT}/e2e/dist/fuzz/main.js`, ...list, ...rest],
    {
      stdio: ['inherit', 'pipe', 'inherit'],
      encoding: 'utf8',
    },
  );
  const [last, good, bad] = /(\d+) passed, (\d+) failed\s*$/.exec(stdout) ?? [''];
  process.stdout.write(stdout.slice(0, stdout.length - last.length));
  if (good === undefined) process.exit(status ?? 2);
  passed += Number(good);
  failed += Number(bad);
}
if (native.length > 0) fuzzNative();
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function fuzzNative() {
  if (spawnSync('clang++', ['--version']).status !== 0)
    return void process.stdout.write(
      `skipped: ${native.join(', ')} (no clang++; Debian: apt-get install clang libclang-rt-14-dev)\n`,
    );
  const folder = `${ROOT}/native/build-fuzz`;
  const settings = [
    'ADDON=OFF',
    'TESTS=OFF',
    'BENCH=OFF',
    'FUZZ=ON',
    'SANITIZE=address,undefined,fuzzer-no-link',
  ];
  const built =
    step('configuring fuzzers', 'cmake', [
      ...['-S', 'native', '-B', folder, '-DCMAKE_CXX_COMPILER=clang++'],
      ...settings.map((one) => `-DDMOERM_${one}`),
    ]).ok && step('building fuzzers', 'cmake', ['--build', folder, '--parallel', '2']).ok;
  if (!built) return void failed++;
  const kept = `${ROOT}/runs/fuzz/`;
  mkdirSync(kept, { recursive: true });
  for (const name of native) {
    const limits = [`-max_total_time=${seconds}`, '-timeout=5', '-rss_limit_mb=1024', '-max_len=512'];
    const { status, stderr } = spawnSync(`${folder}/${name}_fuzz`, [...limits, `-artifact_prefix=${kept}`], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const runs = /Done (\d+) runs/.exec(stderr)?.[1] ?? '?';
    process.stdout.write(
      status === 0
        ? `${name.padEnd(17)} ${runs} inputs, 0 findings\n`
        : `${name.padEnd(17)} ${/(ERROR|SUMMARY|runtime error).*/.exec(stderr)?.[0] ?? 'failed'}; the input lies in ${kept}\n`,
    );
    if (status === 0) passed++;
    else failed++;
  }
}
