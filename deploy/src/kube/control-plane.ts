import { createAuthority } from '@dmoerm/testing';
import type { CertificateFilesOf } from '@dmoerm/testing';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { KubeApi } from './api';
import { Processes } from './processes';
import { STAGES } from './stages';
import type { Program } from './tools';

const HOST = '127.0.0.1';
const READY_MS = 120_000;
const LOOK_MS = 200;

/** A Kubernetes without kubelets: etcd, API server, controllers and scheduler are real, kwok says for pods what kubelets would. */
export interface ControlPlane {
  readonly api: KubeApi;
  /** For kubectl and helm, as an administrator. */
  readonly kubeconfig: string;
  /** Programs that have ended by themselves. */
  dead(): Program[];
  /** Ends all programs and removes their data. */
  stop(): Promise<void>;
}

/**
 * Starts one on free ports of the loopback device, with an authority of its own and TLS between all its parts; what ran in that
 * folder before is ended.
 * @param folder for its data, logs and certificates; emptied first.
 * @throws Error with the last words of the part that does not come up.
 */
export async function startControlPlane(folder: string): Promise<ControlPlane> {
  const processes = new Processes(folder);
  const stop = async (): Promise<void> => {
    await processes.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  await stop();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [etcd, etcdPeer, apiserver, controllers, scheduler] = await freePorts(5);
  const authority = await createAuthority(folder, 'cluster');
  const issue = (name: string, organization?: string): Promise<CertificateFilesOf> =>
    authority.issue(name, { names: [`IP:${HOST}`], ...(organization !== undefined && { organization }) });
  const server = `https://${HOST}:${apiserver}`;
  const write = (name: string, content: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, stringify(content), { mode: 0o600 });
    return path;
  };
  const kubeconfig = (identity: CertificateFilesOf, name: string): string =>
    write(`${name}.kubeconfig`, kubeconfigOf(server, authority.ca, identity));

  const peer = await issue('etcd');
  processes.start('etcd', [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=https://${HOST}:${etcd}`,
    `--advertise-client-urls=https://${HOST}:${etcd}`,
    `--listen-peer-urls=http://${HOST}:${etcdPeer}`,
    `--initial-advertise-peer-urls=http://${HOST}:${etcdPeer}`,
    `--initial-cluster=default=http://${HOST}:${etcdPeer}`,
    ...[`--cert-file=${peer.certificate}`, `--key-file=${peer.key}`],
    ...[`--trusted-ca-file=${authority.ca}`, '--client-cert-auth'],
    // Nothing here outlives the process.
    '--unsafe-no-fsync',
  ]);
  const [own, accounts] = [await issue('kube-apiserver'), await issue('service-accounts')];
  processes.start('kube-apiserver', [
    `--etcd-servers=https://${HOST}:${etcd}`,
    ...[`--etcd-cafile=${authority.ca}`, `--etcd-certfile=${own.certificate}`, `--etcd-keyfile=${own.key}`],
    ...[`--bind-address=${HOST}`, `--advertise-address=${HOST}`, `--secure-port=${apiserver}`],
    // A loopback address is no endpoint for pods; there are none that would ask.
    '--endpoint-reconciler-type=none',
    ...[`--tls-cert-file=${own.certificate}`, `--tls-private-key-file=${own.key}`],
    ...[`--client-ca-file=${authority.ca}`, '--authorization-mode=RBAC', '--anonymous-auth=false'],
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${accounts.certificate}`,
    `--service-account-signing-key-file=${accounts.key}`,
    '--service-cluster-ip-range=10.96.0.0/16',
  ]);
  const admin = await issue('admin', 'system:masters');
  const api = new KubeApi(server, { ca: authority.ca, ...admin });
  const alive = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + READY_MS;
    while (!(await holds().catch(() => false))) {
      const [dead] = processes.dead();
      if (dead !== undefined) throw new Error(`${dead} ended: ${processes.lastWords(dead)}`);
      if (Date.now() > deadline)
        throw new Error(`${what} is not ready after ${READY_MS / 1e3} s; its logs: ${folder}`);
      await sleep(LOOK_MS);
    }
  };
  try {
    await alive('kube-apiserver', async () => (await api.request('GET', '/readyz')).status === 200);
    processes.start('kube-controller-manager', [
      `--kubeconfig=${kubeconfig(await issue('system:kube-controller-manager'), 'controllers')}`,
      ...[`--bind-address=${HOST}`, `--secure-port=${controllers}`, '--leader-elect=false'],
      ...[`--root-ca-file=${authority.ca}`, `--service-account-private-key-file=${accounts.key}`],
      '--use-service-account-credentials',
      // Scalers look every 15 s otherwise.
      '--horizontal-pod-autoscaler-sync-period=2s',
      // Renewals are late where the machine has much else to do.
      '--node-monitor-grace-period=120s',
    ]);
    processes.start('kube-scheduler', [
      `--kubeconfig=${kubeconfig(await issue('system:kube-scheduler'), 'scheduler')}`,
      ...[`--bind-address=${HOST}`, `--secure-port=${scheduler}`, '--leader-elect=false'],
    ]);
    const own = kubeconfig(admin, 'admin');
    const stages = STAGES.flatMap((stage, i) => ['--config', write(`stage-${i}.yaml`, stage)]);
    // Nodes whose leases nobody renews are given up after a minute, and their pods are not ready for ever.
    const nodes = ['--manage-all-nodes=true', '--node-lease-duration-seconds=40'];
    processes.start('kwok', [`--kubeconfig=${own}`, ...nodes, ...stages]);
    // The controllers are at work when they have given the namespace its account.
    await alive('kube-controller-manager', () =>
      api.exists('/api/v1/namespaces/default/serviceaccounts/default'),
    );
    return { api, kubeconfig: own, dead: () => processes.dead(), stop };
  } catch (error) {
    await processes.stop();
    throw error;
  }
}

/** Ends what runs in a folder and removes its data. */
export async function stopControlPlane(folder: string): Promise<void> {
  await new Processes(folder).stop();
  rmSync(folder, { recursive: true, force: true });
}

function kubeconfigOf(server: string, ca: string, { certificate, key }: CertificateFilesOf): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'cluster', cluster: { server, 'certificate-authority': ca } }],
    users: [{ name: 'user', user: { 'client-certificate': certificate, 'client-key': key } }],
    contexts: [{ name: 'context', context: { cluster: 'cluster', user: 'user' } }],
    'current-context': 'context',
  };
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(
    (server) =>
      new Promise<number>((resolve, reject) => {
        server.on('error', reject);
        server.listen(0, HOST, () => resolve((server.address() as AddressInfo).port));
      }),
  );
  const found = await Promise.all(ports);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}
