// What the scripts that run containers share.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const VERSION = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')).version;
const SERVICES = ['router', 'expert', 'aggregator', 'gateway'];

// Without systemd podman wants other settings than its own defaults.
if (!existsSync('/run/systemd/system'))
  process.env.CONTAINERS_CONF ??= `${ROOT}/deploy/docker/containers.conf`;

/** Why no container can run here, or null. */
export function absentPodman() {
  const { status, error } = spawnSync('podman', ['info'], { encoding: 'utf8' });
  if (error !== undefined)
    return 'no podman; Debian, Ubuntu: apt-get install podman runc netavark aardvark-dns iptables catatonit debootstrap';
  return status === 0 ? null : '`podman info` fails; it needs root here';
}

/** Runs podman; what it prints. @throws Error with its last words. */
export function podman(...args) {
  const { status, stdout, stderr } = spawnSync('podman', args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0)
    throw new Error(
      `podman ${args.slice(0, 3).join(' ')}: ${stderr.trim().split('\n').slice(-5).join('\n')}`,
    );
  return stdout.trim();
}

/** Name of an image that `buildImages` makes. */
export const image = (name) => `localhost/dmoerm/${name}:${VERSION}`;

/** The images that this tree can be built into, base images included; what is up to date is not built again. */
export function buildImages() {
  const missing = ['dmoerm-runtime', 'dmoerm-builder'].some(
    (name) => spawnSync('podman', ['image', 'exists', `localhost/${name}`]).status !== 0,
  );
  if (missing) must('making base images', `${ROOT}/deploy/docker/local-base.sh`);
  const names = [...SERVICES.filter((name) => existsSync(`${ROOT}/services/${name}`)), 'cli'];
  for (const name of names)
    must(`building ${name}`, 'podman', [
      ...[
        'build',
        '--ulimit',
        'nofile=10000:10000',
        '--layers',
        '--file',
        `${ROOT}/deploy/docker/Dockerfile`,
      ],
      ...[
        '--build-arg',
        'BUILDER=localhost/dmoerm-builder',
        '--build-arg',
        'RUNTIME=localhost/dmoerm-runtime',
      ],
      ...['--build-arg', 'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt'],
      ...['--target', name, '--tag', image(name), ROOT],
    ]);
  return names;
}

function must(label, command, args = []) {
  const start = Date.now();
  process.stderr.write(`${label} ... `);
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  process.stderr.write(`${status === 0 ? 'ok' : 'FAILED'} (${((Date.now() - start) / 1000).toFixed(1)} s)\n`);
  if (status !== 0) throw new Error(`${stdout}${stderr}`.split('\n').slice(-40).join('\n'));
}

/** Resolves with the first line of a container's log that is JSON and fits. @throws Error if it ends before. */
export function logLine(container, fits) {
  return new Promise((resolve, reject) => {
    const logs = spawn('podman', ['logs', '--follow', container]);
    let text = '';
    const read = (chunk) => {
      text += chunk;
      for (const line of text.split('\n').slice(0, -1)) {
        const entry = line.startsWith('{') ? JSON.parse(line) : {};
        if (fits(entry)) {
          logs.kill();
          resolve(entry);
        }
      }
    };
    logs.stdout.on('data', read);
    logs.stderr.on('data', read);
    logs.on('exit', () => reject(new Error(`${container} ended: ${text.slice(-2000)}`)));
  });
}
