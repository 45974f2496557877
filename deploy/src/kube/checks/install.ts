import type { Context } from '../context';
import { NAMESPACE } from '../fixture';
import { DEPLOYMENTS, PODS, isReady } from '../pods';
import type { LiveDeployment, LivePod } from '../pods';
import type { HelmOutcome } from '../release';

/** What a release of the chart has made of the cluster. */
export interface Installed {
  readonly deployments: readonly LiveDeployment[];
  readonly pods: readonly LivePod[];
}

/** Notes how helm fared: done, and warned of nothing. */
export function done({ report }: Context, what: string, { ok, warnings, output }: HelmOutcome): void {
  report.check(
    what,
    ok && warnings.length === 0,
    ok ? { warnings: warnings.length } : { output: output.trim() },
  );
}

/** Whether a label selector has a label of that value. */
interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
}

/** All Deployments are available, their pods spread over zones and nodes, found behind their Services, and under network policies. */
export async function available(context: Context, name: string): Promise<Installed> {
  const { api, report } = context;
  const deployments = await api.list<LiveDeployment>(DEPLOYMENTS);
  const pods = await api.list<LivePod>(PODS);
  const short = deployments.filter(({ spec, status }) => status.availableReplicas !== spec.replicas);
  report.check(`${name}: every Deployment is available`, deployments.length > 0 && short.length === 0, {
    deployments: Object.fromEntries(
      deployments.map(({ metadata, spec, status }) => [
        metadata.name,
        `${status.availableReplicas}/${spec.replicas}`,
      ]),
    ),
  });
  await found(context, name, pods);
  await policed(context, name, pods);
  return { deployments, pods };
}

/** Pods of Deployments with several stand on different nodes, in both zones. */
export function spread({ report }: Context, { deployments, pods }: Installed): void {
  const several = deployments.filter(({ spec }) => spec.replicas > 1);
  const close = several.filter(({ spec }) => {
    const own = pods.filter(({ metadata }) => isWithin(spec.selector, metadata.labels));
    const nodes = new Set(own.map((pod) => pod.spec.nodeName));
    const zones = new Set(own.map((pod) => pod.spec.nodeName?.split('-')[1]));
    return nodes.size < own.length || zones.size < 2;
  });
  report.check(
    'pods of a Deployment are on nodes of different zones',
    several.length > 0 && close.length === 0,
    {
      deployments: several.length,
      ...(close.length > 0 && { close: close.map(({ metadata }) => metadata.name) }),
    },
  );
}

interface EndpointSlice {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly endpoints?: readonly {
    readonly conditions?: { readonly ready?: boolean };
    readonly targetRef?: { readonly name: string };
  }[];
}

/** Behind each Service the cluster has found just the ready pods that it selects. */
async function found({ api, report }: Context, name: string, pods: readonly LivePod[]): Promise<void> {
  const services = await api.list<{
    metadata: { name: string };
    spec: { selector?: Record<string, string> };
  }>(`/api/v1/namespaces/${NAMESPACE}/services`);
  const slices = await api.list<EndpointSlice>(
    `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`,
  );
  const figures: Record<string, number> = {};
  let right = services.length > 0;
  for (const { metadata, spec } of services) {
    const endpoints = slices
      .filter(({ metadata: { labels } }) => labels?.['kubernetes.io/service-name'] === metadata.name)
      .flatMap((slice) => slice.endpoints ?? [])
      .filter(({ conditions }) => conditions?.ready)
      .map(({ targetRef }) => targetRef?.name);
    const selected = pods.filter((pod) =>
      isWithin({ matchLabels: spec.selector ?? {} }, pod.metadata.labels),
    );
    figures[metadata.name] = endpoints.length;
    right &&=
      endpoints.length > 0 &&
      [...endpoints].sort().join() ===
        selected
          .filter(isReady)
          .map((pod) => pod.metadata.name)
          .sort()
          .join();
  }
  report.check(`${name}: every Service has its pods behind it`, right, { endpoints: figures });
}

/** Each pod is under policies for what comes in and what goes out; one of them denies what no other allows. */
async function policed({ api, report }: Context, name: string, pods: readonly LivePod[]): Promise<void> {
  const policies = await api.list<{
    metadata: { name: string };
    spec: { podSelector: Selector; policyTypes: string[]; ingress?: unknown[]; egress?: unknown[] };
  }>(`/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies`);
  const open = pods.filter(({ metadata }) => {
    const own = policies.filter(({ spec }) => isWithin(spec.podSelector, metadata.labels));
    const denies = own.some(
      ({ spec }) => spec.policyTypes.length === 2 && spec.ingress === undefined && spec.egress === undefined,
    );
    return !denies || own.length < 3;
  });
  report.check(
    `${name}: every pod is under network policies, closed by default`,
    open.length === 0 && pods.length > 0,
    {
      policies: policies.length,
      pods: pods.length,
    },
  );
}

function isWithin({ matchLabels = {} }: Selector, labels: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}
