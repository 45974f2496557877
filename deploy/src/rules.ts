import { parse } from 'yaml';
import { named, ofKind, podOf, selects } from './objects';
import type { Container, KubeObject, PodSpec } from './objects';

/** Looks at objects that are applied together; gives what is wrong with them, one line each. */
export type Rule = (objects: readonly KubeObject[]) => string[];

/** The services' settings, from the ConfigMap of a Deployment. */
export function settingsOf(objects: readonly KubeObject[], name: string): Record<string, unknown> {
  return parse(named(objects, 'ConfigMap', name).data?.['settings.yaml'] ?? '') as Record<string, unknown>;
}

/** What every rendering of the chart must keep to. */
export const RULES: Readonly<Record<string, Rule>> = {
  'names are given once': (objects) =>
    repeated(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)),
  'ports are given once': (objects) => [
    ...containers(objects).flatMap(([where, { ports = [] }]) =>
      repeated(ports.flatMap(({ name, containerPort }) => [name, `${containerPort}`])).map(at(where)),
    ),
    ...ofKind(objects, 'Service').flatMap(({ metadata, spec }) => {
      const ports = spec?.['ports'] as { name: string; port: number }[];
      return repeated(ports.flatMap(({ name, port }) => [name, `${port}`])).map(at(metadata.name));
    }),
  ],
  'pods are restricted': (objects) => [
    ...pods(objects).flatMap(
      ([where, { securityContext, automountServiceAccountToken, enableServiceLinks }]) => [
        ...differs(securityContext, {
          runAsNonRoot: true,
          runAsUser: 65532,
          seccompProfile: { type: 'RuntimeDefault' },
        }).map(at(where)),
        ...differs(
          { automountServiceAccountToken, enableServiceLinks },
          { automountServiceAccountToken: false, enableServiceLinks: false },
        ).map(at(where)),
      ],
    ),
    ...containers(objects).flatMap(([where, { securityContext }]) =>
      differs(securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      }).map(at(where)),
    ),
    ...ofKind(objects, 'ServiceAccount')
      .filter(({ automountServiceAccountToken }) => automountServiceAccountToken !== false)
      .map(({ metadata }) => `${metadata.name}: its token is mounted`),
  ],
  'services are probed at the health port, the gateway over HTTP': (objects) =>
    ofKind(objects, 'Deployment').flatMap((deployment) => {
      const [container] = podOf(deployment).spec.containers;
      const health = container?.ports?.find(({ name }) => name === 'health')?.containerPort;
      const scheme =
        settingsOf(objects, deployment.metadata.name)['tlsCert'] === undefined ? 'HTTP' : 'HTTPS';
      const asked = (['startupProbe', 'livenessProbe', 'readinessProbe'] as const).map(
        (probe) => container?.[probe],
      );
      const expected =
        container?.name === 'gateway'
          ? ['/healthz', '/healthz', '/readyz'].map((path) => ({ httpGet: { path, port: 'http', scheme } }))
          : ['liveness', 'liveness', 'readiness'].map((service) => ({ grpc: { port: health, service } }));
      return asked.flatMap((probe, i) => differs(probe, expected[i] ?? {}).map(at(deployment.metadata.name)));
    }),
  'a Deployment has one disruption budget': (objects) =>
    ofKind(objects, 'Deployment').flatMap((deployment) => {
      const budgets = ofKind(objects, 'PodDisruptionBudget').filter(({ spec }) =>
        selects(spec?.selector?.matchLabels, podOf(deployment).labels),
      );
      const fit = budgets.length === 1 && budgets[0]?.spec?.['maxUnavailable'] === 1;
      return fit ? [] : [`${deployment.metadata.name}: ${budgets.length} budgets, or not of 1`];
    }),
  'a rollout takes no pod away before its successor is ready': (objects) =>
    ofKind(objects, 'Deployment').flatMap(({ metadata, spec }) =>
      differs(spec?.['strategy'], { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } }).map(
        at(metadata.name),
      ),
    ),
  'a pod is not killed before its drain ends': (objects) =>
    ofKind(objects, 'Deployment').flatMap((deployment) => {
      const { name } = deployment.metadata;
      const { lameDuckMs, graceMs } = settingsOf(objects, name);
      const seconds = podOf(deployment).spec.terminationGracePeriodSeconds ?? 30;
      if (seconds * 1000 < Number(graceMs ?? 0))
        return [`${name}: killed after ${seconds} s, drains for ${String(graceMs)} ms`];
      return seconds * 1000 > Number(lameDuckMs ?? 0) + 10_000
        ? []
        : [`${name}: ${seconds} s leave no time for a call`];
    }),
  'pods spread over zones and nodes': (objects) =>
    ofKind(objects, 'Deployment').flatMap((deployment) => {
      const keys =
        podOf(deployment).spec.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey) ?? [];
      const missing = ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].filter(
        (key) => !keys.includes(key),
      );
      return missing.map(at(deployment.metadata.name));
    }),
  'volumes are there, scratch is not the root, secrets are mounted whole': (objects) =>
    pods(objects).flatMap(([where, { volumes = [], containers, initContainers = [] }]) =>
      [...initContainers, ...containers].flatMap(({ volumeMounts = [] }) =>
        volumeMounts.flatMap(({ name, subPath }) => {
          const volume = volumes.find((one) => one.name === name);
          if (volume === undefined) return [`${where}: no volume ${name}`];
          return volume.secret !== undefined && subPath !== undefined
            ? [`${where}: ${name} would never be renewed`]
            : [];
        }),
      ),
    ),
  'what pods refer to is there': (objects) =>
    pods(objects).flatMap(([where, { serviceAccountName, volumes = [] }]) => [
      ...missing(objects, 'ServiceAccount', serviceAccountName).map(at(where)),
      ...volumes
        .flatMap(({ configMap }) => (configMap ? missing(objects, 'ConfigMap', configMap.name) : []))
        .map(at(where)),
    ]),
  'Services find pods and their ports': (objects) =>
    ofKind(objects, 'Service').flatMap(({ metadata, spec }) => {
      const behind = ofKind(objects, 'Deployment')
        .map(podOf)
        .filter(({ labels }) => selects(spec?.selector, labels));
      if (behind.length === 0) return [`${metadata.name}: nobody is behind it`];
      const targets = (spec?.['ports'] as { targetPort: string }[]).map(({ targetPort }) => targetPort);
      return behind.flatMap((pod) => {
        const open = pod.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
        return targets.filter((target) => !open.includes(target)).map(at(metadata.name));
      });
    }),
  'services are called at Services that are there': (objects) =>
    ofKind(objects, 'ConfigMap').flatMap(({ metadata, data }) =>
      [...(data?.['settings.yaml'] ?? '').matchAll(/dns:\/\/\/([\w-]+):/g)].flatMap(([, name]) =>
        missing(objects, 'Service', name).map(at(metadata.name)),
      ),
    ),
  'who is scaled has no fixed number of replicas': (objects) =>
    [...ofKind(objects, 'ScaledObject'), ...ofKind(objects, 'HorizontalPodAutoscaler')].flatMap(
      ({ metadata, spec }) => {
        const { name } = spec?.['scaleTargetRef'] as { name: string };
        return named(objects, 'Deployment', name).spec?.['replicas'] === undefined
          ? []
          : [`${metadata.name}: ${name} has`];
      },
    ),
};

/** Everything that is wrong, by rule. */
export function violations(objects: readonly KubeObject[]): string[] {
  return Object.entries(RULES).flatMap(([rule, check]) => check(objects).map((fault) => `${rule}: ${fault}`));
}

function pods(objects: readonly KubeObject[]): [string, PodSpec][] {
  return objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
    .map((object) => [object.metadata.name, podOf(object).spec]);
}

function containers(objects: readonly KubeObject[]): [string, Container][] {
  return pods(objects).flatMap(([name, spec]) =>
    [...(spec.initContainers ?? []), ...spec.containers].map((container): [string, Container] => [
      `${name}/${container.name}`,
      container,
    ]),
  );
}

const at = (where: string) => (fault: string) => `${where}: ${fault}`;

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];
}

function missing(objects: readonly KubeObject[], kind: string, name: string | undefined): string[] {
  return objects.some((object) => object.kind === kind && object.metadata.name === name)
    ? []
    : [`no ${kind} ${name}`];
}

/** The keys of `expected` that are not so, deeply. */
function differs(actual: unknown, expected: object): string[] {
  return Object.entries(expected).flatMap(([key, value]) => {
    const own = (actual as Record<string, unknown> | undefined)?.[key];
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return differs(own, value as object).map(at(key));
    return JSON.stringify(own) === JSON.stringify(value) ? [] : [`${key} is ${JSON.stringify(own)}`];
  });
}
