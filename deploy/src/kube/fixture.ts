import { parseAllDocuments } from 'yaml';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TOOLS } from '../chart';
import type { KubeApi } from './api';

/** Where the tests install. */
export const NAMESPACE = 'dmoerm';

const GPU_TAINT = { key: 'nvidia.com/gpu', value: 'present', effect: 'NoSchedule' };
const DEDICATED = { key: 'dedicated', value: 'rl', effect: 'NoSchedule' };

interface Node {
  readonly zone: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly object[];
  /** Beyond cpu, memory and pods. */
  readonly devices?: Readonly<Record<string, string>>;
}

/** Two zones; plain machines, dedicated ones with whole GPUs, and one with slices of GPUs. */
const NODES: Readonly<Record<string, Node>> = {
  'cpu-a-0': { zone: 'a' },
  'cpu-a-1': { zone: 'a' },
  'cpu-b-0': { zone: 'b' },
  'cpu-b-1': { zone: 'b' },
  'h100-a': h100('a'),
  'h100-b': h100('b'),
  'a100-a': {
    zone: 'a',
    labels: { 'nvidia.com/gpu.product': 'NVIDIA-A100-SXM4-80GB' },
    taints: [GPU_TAINT],
    devices: { 'nvidia.com/mig-3g.40gb': '2' },
  },
};

function h100(zone: string): Node {
  return {
    zone,
    labels: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3' },
    taints: [GPU_TAINT, DEDICATED],
    devices: { 'nvidia.com/gpu': '4' },
  };
}

/** Puts nodes into a new cluster, and a namespace in which Pod Security `restricted` is enforced. */
export async function furnish(api: KubeApi): Promise<void> {
  for (const [name, node] of Object.entries(NODES)) await api.create('/api/v1/nodes', nodeOf(name, node));
  const levels = ['enforce', 'warn', 'audit'].map((mode) => [
    `pod-security.kubernetes.io/${mode}`,
    'restricted',
  ]);
  await api.create('/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: Object.fromEntries(levels) as Record<string, string> },
  });
}

function nodeOf(name: string, { zone, labels = {}, taints = [], devices = {} }: Node): object {
  const resources = { cpu: '32', memory: '256Gi', pods: '110', ...devices };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        'topology.kubernetes.io/zone': zone,
        ...labels,
      },
    },
    spec: { taints },
    status: { capacity: resources, allocatable: resources },
  };
}

/** The RuntimeClass that the operator of GPUs brings. */
export const RUNTIME_CLASS = {
  path: '/apis/node.k8s.io/v1/runtimeclasses',
  object: {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'nvidia' },
    handler: 'nvidia',
  },
};

/** A volume that many pods can read and write, and its claim in the namespace. */
export async function createClaim(api: KubeApi, name: string): Promise<void> {
  const spec = {
    accessModes: ['ReadWriteMany', 'ReadOnlyMany'],
    storageClassName: '',
  };
  await api.create('/api/v1/persistentvolumes', {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      ...spec,
      capacity: { storage: '100Gi' },
      claimRef: { namespace: NAMESPACE, name },
      nfs: { server: 'files.example', path: `/${name}` },
    },
  });
  await api.create(`/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims`, {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: { ...spec, volumeName: name, resources: { requests: { storage: '100Gi' } } },
  });
}

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/**
 * Makes the cluster know the custom resources of KEDA and of the Prometheus operator, from their own definitions; resolves when it serves
 * them all.
 */
export async function installDefinitions(api: KubeApi): Promise<void> {
  const folder = join(TOOLS, 'crds');
  let count = 0;
  for (const file of readdirSync(folder))
    for (const document of parseAllDocuments(readFileSync(join(folder, file), 'utf8'))) {
      const definition = document.toJS() as { metadata: { name: string } } | null;
      if (definition === null) continue;
      await api.create(DEFINITIONS, definition);
      count++;
    }
  const isServed = ({ status }: Definition): boolean =>
    status?.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True') ??
    false;
  await api.until<Definition>(
    'the definitions are served',
    DEFINITIONS,
    (all) => all.length >= count && all.every(isServed),
  );
}

interface Definition {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}
