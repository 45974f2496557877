import { EventEmitter, once } from 'node:events';
import type { Labels, PodSpec } from '../objects';
import type { KubeApi, WatchEvent } from './api';
import { NAMESPACE } from './fixture';

/** A pod as the cluster has it. */
export interface LivePod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Labels;
    readonly annotations?: Labels;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly spec: PodSpec & { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** A Deployment as the cluster has it. */
export interface LiveDeployment {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly replicas: number; readonly selector: { readonly matchLabels: Labels } };
  readonly status: { readonly availableReplicas?: number; readonly updatedReplicas?: number };
}

/** Paths of the namespace. */
export const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
export const DEPLOYMENTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;

/** Pods of a Deployment, those that end included. */
export async function podsOf(api: KubeApi, deployment: string): Promise<LivePod[]> {
  const { spec } = await api.get<LiveDeployment>(`${DEPLOYMENTS}/${deployment}`);
  const selector = Object.entries(spec.selector.matchLabels).map(([key, value]) => `${key}=${value}`);
  return api.list<LivePod>(`${PODS}?labelSelector=${encodeURIComponent(selector.join(','))}`);
}

/** Whether callers can be sent to it. */
export function isReady({ metadata, status }: LivePod): boolean {
  const ready = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
  return ready && metadata.deletionTimestamp === undefined;
}

/** How many pods of a group were there at the same time. */
export interface Extremes {
  /** Ready ones, at least. */
  readonly leastReady: number;
  /** Those that do not end yet, at most. */
  readonly most: number;
}

/** Groups of pods, each of which is counted: those of single Deployments, and all that can serve any task. */
const GROUPS: Readonly<Record<string, (labels: Labels) => string | undefined>> = {
  deployment: (labels) => {
    const expert = labels['dmoerm.dev/expert'];
    return `${labels['app.kubernetes.io/component']}${expert === undefined ? '' : `-${expert}`}`;
  },
  pool: (labels) => (labels['dmoerm.dev/tasks'] === 'all' ? POOL : undefined),
};
/** The group of the experts that serve all tasks, whatever their Deployment. */
export const POOL = 'all experts';

/** Follows all pods of the namespace, event by event, so that no moment in which some are missing is overlooked. */
export class PodWatch {
  private readonly pods = new Map<string, LivePod>();
  private readonly extremes = new Map<string, Extremes>();
  private readonly end = new AbortController();
  private readonly ended: Promise<void>;
  private readonly changes = new EventEmitter();

  /** @param api of the cluster, whose pods are followed from now on. */
  constructor(api: KubeApi) {
    this.ended = api.watch<LivePod>(PODS, (event) => this.see(event), this.end.signal);
  }

  /** Begins to count what is extreme anew. */
  reset(): void {
    this.extremes.clear();
    for (const group of new Set([...this.pods.values()].flatMap(groupsOf))) this.count(group);
  }

  /** What was extreme since, by service, of experts by `expert-NAME`, and for `POOL`. */
  get seen(): ReadonlyMap<string, Extremes> {
    return this.extremes;
  }

  /** Resolves when the pods are as `holds` says. @throws Error after `ms`. */
  async until(what: string, holds: (pods: readonly LivePod[]) => boolean, ms = 60_000): Promise<void> {
    const signal = AbortSignal.timeout(ms);
    while (!holds([...this.pods.values()]))
      await once(this.changes, 'change', { signal }).catch(() => {
        throw new Error(`${what}: not within ${ms / 1e3} s`);
      });
  }

  /** Ends it. @throws Error if the watch broke before. */
  async close(): Promise<void> {
    this.end.abort();
    await this.ended;
  }

  private see({ type, object }: WatchEvent<LivePod>): void {
    if (type === 'DELETED') this.pods.delete(object.metadata.uid);
    else this.pods.set(object.metadata.uid, object);
    for (const group of groupsOf(object)) this.count(group);
    this.changes.emit('change');
  }

  private count(group: string): void {
    const pods = [...this.pods.values()].filter((pod) => groupsOf(pod).includes(group));
    const ready = pods.filter(isReady).length;
    const alive = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined).length;
    const before = this.extremes.get(group) ?? { leastReady: ready, most: alive };
    this.extremes.set(group, {
      leastReady: Math.min(before.leastReady, ready),
      most: Math.max(before.most, alive),
    });
  }
}

function groupsOf({ metadata: { labels = {} } }: LivePod): string[] {
  return Object.values(GROUPS).flatMap((group) => group(labels) ?? []);
}
