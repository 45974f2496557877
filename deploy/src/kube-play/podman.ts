import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Playable } from './pods';

const READY_MS = 120_000;
const LOOK_MS = 250;
/** Network of the pods. */
const NETWORK = 'dmoerm-kube-play';

/** Runs podman; what it prints. @throws Error with its last words. */
export function podman(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('podman', args, {
    encoding: 'utf8',
    input,
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`podman ${args.slice(0, 3).join(' ')}: ${stderr.trim().slice(-2000)}`);
  return stdout.trim();
}

/** Its first three bytes. */
export const SUBNET = '10.89.89';

/** A pod that plays. */
export interface PlayedPod extends Playable {
  /** Its address. */
  readonly ip: string;
}

/** Makes the network anew. */
export function makeNetwork(): void {
  spawnSync('podman', ['network', 'rm', '--force', NETWORK]);
  podman(['network', 'create', '--subnet', `${SUBNET}.0/24`, NETWORK]);
}

/** Takes pods and network away, whatever is left of them. */
export function clear(pods: readonly Playable[]): void {
  for (const { name } of pods) spawnSync('podman', ['pod', 'rm', '--force', '--time', '0', name]);
  spawnSync('podman', ['network', 'rm', '--force', NETWORK]);
}

/**
 * Plays a pod under the names of its Services. Its address is another after each stop, as in a cluster, unless it gets one: this machine cannot ask the
 * network for names.
 */
export function play(pod: Playable, fixedIp?: string): PlayedPod {
  const aliases =
    pod.services.map((service) => `alias=${service}`).join(',') +
    (fixedIp === undefined ? '' : `,ip=${fixedIp}`);
  const manifests = pod.objects.map((object) => stringify(object)).join('---\n');
  podman(['kube', 'play', '--network', `${NETWORK}:${aliases}`, '-'], manifests);
  const infra = podman(['pod', 'inspect', '--format', '{{.InfraContainerID}}', pod.name]);
  const ip = podman([
    'inspect',
    '--format',
    `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`,
    infra,
  ]);
  return { ...pod, ip };
}

/** How often a container has said that it is ready. */
export function readyCount({ container }: Playable): number {
  const { stdout, stderr } = spawnSync('podman', ['logs', container], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return (stdout + stderr).split('\n').filter(isReady).length;
}

/** Resolves when a container says that it is ready for the `count`-th time; seconds that it took. @throws Error after two minutes. */
export async function untilReady(pod: Playable, count = 1): Promise<number> {
  const begin = performance.now();
  while (readyCount(pod) < count) {
    if (performance.now() - begin > READY_MS) throw new Error(`${pod.container} is not ready`);
    // Following the log would end with the process that is killed.
    await sleep(LOOK_MS);
  }
  return (performance.now() - begin) / 1e3;
}

function isReady(line: string): boolean {
  return line.includes('"msg":"ready"');
}

/** Kills the process of a container as the kernel does when memory runs out. */
export function crash({ container }: Playable): void {
  process.kill(Number(podman(['inspect', '--format', '{{.State.Pid}}', container])), 'SIGKILL');
}

/** Asks a container to end, as the kubelet does; its exit status and the seconds that it took. */
export function stop({ container, graceSeconds }: Playable): Promise<{ status: number; seconds: number }> {
  const begin = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn('podman', ['stop', '--time', `${graceSeconds}`, container], { stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', () => {
      const status = Number(podman(['inspect', '--format', '{{.State.ExitCode}}', container]));
      resolve({ status, seconds: (performance.now() - begin) / 1e3 });
    });
  });
}

/** Starts a stopped container anew. */
export function start({ container }: Playable): void {
  podman(['start', container]);
}
