import { ofKind, podOf, selects } from '../objects';
import type { Container, KubeObject, PodSpec } from '../objects';

/** A pod for `podman kube play`, and the names of the Services that it is behind. */
export interface Playable {
  readonly name: string;
  readonly container: string;
  /** Names by which it is found, as a headless Service would. */
  readonly services: readonly string[];
  /** From SIGTERM to SIGKILL. */
  readonly graceSeconds: number;
  /** The Pod, and the ConfigMaps that it mounts. */
  readonly objects: readonly KubeObject[];
}

/**
 * The pods of rendered Deployments, as podman can play them: podman knows no Services, so pods get their names on the network; it publishes every
 * port that a pod names on this machine, so none is named; it asks for HTTP health with a curl inside of the pod, which has none, so those
 * probes go; it gives Secrets to pods undecoded, so they become ConfigMaps. All else stays
 * as the chart has it.
 */
export function toPods(
  objects: readonly KubeObject[],
  secrets: Readonly<Record<string, Record<string, string>>>,
): Playable[] {
  return ofKind(objects, 'Deployment').flatMap((deployment) => {
    const { labels, spec } = podOf(deployment);
    const services = ofKind(objects, 'Service').filter((service) => selects(service.spec?.selector, labels));
    const [main] = spec.containers;
    if (main === undefined) throw new Error(`${deployment.metadata.name} has no container`);
    return Array.from({ length: Number(deployment.spec?.['replicas'] ?? 1) }, (_, i): Playable => {
      const name = `${deployment.metadata.name}-${i}`;
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec: playable(spec) };
      return {
        name,
        container: `${name}-${main.name}`,
        services: services.map(({ metadata }) => metadata.name),
        graceSeconds: spec.terminationGracePeriodSeconds ?? 30,
        objects: [...configMaps(objects, spec, secrets), pod as unknown as KubeObject],
      };
    });
  });
}

function playable(spec: PodSpec): PodSpec {
  return {
    ...spec,
    restartPolicy: 'Always',
    containers: spec.containers.map(({ ports: _, ...container }) => withoutHttpProbes(container)),
    volumes: (spec.volumes ?? []).map(({ secret, ...volume }) =>
      secret === undefined ? volume : { ...volume, configMap: { name: secret.secretName } },
    ),
  };
}

function withoutHttpProbes({
  startupProbe,
  livenessProbe,
  readinessProbe,
  ...container
}: Container): Container {
  const probes = Object.entries({ startupProbe, livenessProbe, readinessProbe });
  const kept = probes.filter(([, probe]) => probe !== undefined && !('httpGet' in probe));
  return { ...container, ...Object.fromEntries(kept) };
}

function configMaps(
  objects: readonly KubeObject[],
  { volumes = [] }: PodSpec,
  secrets: Readonly<Record<string, Record<string, string>>>,
): KubeObject[] {
  return volumes.flatMap(({ configMap, secret }) => {
    const name = configMap?.name ?? secret?.secretName;
    if (name === undefined) return [];
    const data =
      secrets[name] ??
      objects.find(
        ({ kind, metadata }) =>
          kind !== 'Deployment' && metadata.name === name && /^(ConfigMap|Secret)$/.test(kind),
      );
    if (data === undefined) throw new Error(`${name} is neither rendered nor made here`);
    const content = 'kind' in data ? ((data as KubeObject).data ?? (data as KubeObject).stringData) : data;
    return [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: content as Record<string, string> },
    ];
  });
}
