import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CHART, TOOLS } from '../../chart';
import type { Context } from '../context';
import { RUNTIME_CLASS, createClaim, installDefinitions } from '../fixture';
import { DEPLOYMENTS, isReady } from '../pods';
import type { LiveDeployment, LivePod } from '../pods';
import { admitted } from './admission';
import { available, done } from './install';
import { inventory, removal } from './removal';

const GPU = ['--values', join(CHART, 'values-gpu.yaml')];

/** The life of a release with GPUs, mutual TLS, a bundle from a claim, KEDA's and Prometheus' objects. */
export async function gpus(context: Context): Promise<void> {
  const { api, release, report } = context;
  const early = await release.install(GPU);
  report.check(
    'control: without the definitions of KEDA and of the Prometheus operator helm says which kinds are missing',
    !early.ok && /ScaledObject/.test(early.output) && /ServiceMonitor/.test(early.output),
    { says: early.output.trim().split('\n')[0] },
  );
  await installDefinitions(api);
  report.check('the definitions of KEDA and of the Prometheus operator are installed', true, {
    files: readdirSync(join(TOOLS, 'crds')).length,
  });
  const before = await inventory(context);
  await admitted(context, 'gpu', GPU);

  const blind = await release.install([...GPU, '--timeout', '5s']);
  const experts = (await api.list<LiveDeployment>(DEPLOYMENTS)).filter(({ metadata }) =>
    metadata.name.includes('expert'),
  );
  report.check(
    'control: without the RuntimeClass no pod with a GPU is admitted',
    !blind.ok &&
      experts.length === 3 &&
      experts.every(({ status }) => status.availableReplicas === undefined),
    { experts: experts.length },
  );
  await removal(context, 'gpu, half installed', before);
  await api.create(RUNTIME_CLASS.path, RUNTIME_CLASS.object);
  await createClaim(api, 'dmoerm-bundles');

  done(context, 'gpu: helm installs it', await release.install(GPU));
  const { pods } = await available(context, 'gpu');
  placed(context, pods);
  process.stdout.write(
    'skipped: scaling by KEDA (no KEDA operator runs here; its ScaledObjects are admitted by its own definitions)\n',
  );
  await full(context);
  await removal(context, 'gpu', new Set([...before, 'persistentvolumeclaims dmoerm-bundles']));
}

/** Pods with GPUs are where those GPUs are, and nothing else is. */
function placed({ report }: Context, pods: readonly LivePod[]): void {
  const where = (expert: string): (string | undefined)[] =>
    pods
      .filter(({ metadata }) => metadata.labels?.['dmoerm.dev/expert'] === expert)
      .map(({ spec }) => spec.nodeName);
  const nodes = {
    h100: where('h100'),
    'chat-h100': where('chat-h100'),
    'chat-a100-mig': where('chat-a100-mig'),
  };
  const others = pods.filter(({ metadata }) => metadata.labels?.['dmoerm.dev/expert'] === undefined);
  const on = (names: readonly (string | undefined)[], prefix: string): boolean =>
    names.length > 0 && names.every((name) => name?.startsWith(prefix));
  report.check(
    'gpu: each expert is on the machines that have its GPU, other services on others',
    on(nodes.h100, 'h100-') &&
      on(nodes['chat-h100'], 'h100-') &&
      on(nodes['chat-a100-mig'], 'a100-') &&
      on(
        others.map(({ spec }) => spec.nodeName),
        'cpu-',
      ),
    nodes,
  );
}

/**
 * Where every GPU is taken a rollout cannot make a successor first: it waits, and no expert goes. With a GPU free again it ends.
 */
async function full({ api, release, report, pods }: Context): Promise<void> {
  const deployment = `${release.name}-expert-chat-a100-mig`;
  const isOwn = ({ metadata }: LivePod): boolean => metadata.name.startsWith(`${deployment}-`);
  await api.patch(`${DEPLOYMENTS}/${deployment}/scale`, { spec: { replicas: 2 } });
  await pods.until(
    'both slices are taken',
    (all) => all.filter((pod) => isOwn(pod) && isReady(pod)).length === 2,
  );
  pods.reset();
  await api.patch(`${DEPLOYMENTS}/${deployment}`, {
    spec: { template: { metadata: { annotations: { rollout: 'without room' } } } },
  });
  const isUnplaced = ({ status }: LivePod): boolean =>
    status?.conditions?.some(({ type, status: holds }) => type === 'PodScheduled' && holds === 'False') ??
    false;
  await pods.until('the successor finds no GPU', (all) => all.some((pod) => isOwn(pod) && isUnplaced(pod)));
  const waited = pods.seen.get('expert-chat-a100-mig')?.leastReady;
  report.check('gpu: a rollout without a free GPU waits, and takes no expert away', waited === 2, {
    least_ready: waited,
  });
  await api.patch('/api/v1/nodes/a100-a/status', {
    status: { capacity: MORE, allocatable: MORE },
  });
  await pods.until('all are new', (all) => {
    const own = all.filter(isOwn);
    const isNew = (pod: LivePod): boolean => pod.metadata.annotations?.['rollout'] === 'without room';
    return own.length === 2 && own.every((pod) => isReady(pod) && isNew(pod));
  });
  const least = pods.seen.get('expert-chat-a100-mig')?.leastReady;
  report.check('gpu: with one free it goes on to its end', least === 2, { least_ready: least });
}

const MORE = { 'nvidia.com/mig-3g.40gb': '3' };
