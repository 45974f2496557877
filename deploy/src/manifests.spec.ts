import { keptManifests } from './chart';
import { named, ofKind, podOf } from './objects';
import type { KubeObject, PodSpec } from './objects';
import { RULES, violations } from './rules';

describe.each(['cpu', 'gpu', 'training'])('the plain manifests of %s', (name) => {
  const objects = keptManifests(name);
  it.each(Object.keys(RULES))('%s', (rule) => {
    expect(RULES[rule]?.(objects)).toEqual([]);
  });
});

/** Kept manifests after a change. */
function changed(change: (objects: KubeObject[]) => void): string[] {
  const objects = keptManifests('gpu');
  change(objects);
  return violations(objects);
}

/** The pod of the router, to be spoilt. */
function router(objects: readonly KubeObject[]): PodSpec {
  return podOf(named(objects, 'Deployment', 'dmoerm-router')).spec;
}

describe('the rules find', () => {
  it.each<[string, (objects: KubeObject[]) => void]>([
    ['names are given once', (objects) => objects.push(named(objects, 'Service', 'dmoerm'))],
    ['ports are given once', (objects) => (router(objects).containers[0]!.ports![1]!.containerPort = 50051)],
    ['pods are restricted', (objects) => (router(objects).securityContext = {})],
    ['pods are restricted', (objects) => (router(objects).enableServiceLinks = true)],
    [
      'pods are restricted',
      (objects) => (router(objects).containers[0]!.securityContext!['capabilities'] = {}),
    ],
    [
      'services are probed',
      (objects) => (router(objects).containers[0]!.livenessProbe = { grpc: { port: 50051 } }),
    ],
    ['a Deployment has one disruption budget', remove('PodDisruptionBudget')],
    [
      'a rollout takes no pod away',
      (objects) => (named(objects, 'Deployment', 'dmoerm-router').spec!['strategy'] = { type: 'Recreate' }),
    ],
    ['a pod is not killed', (objects) => (router(objects).terminationGracePeriodSeconds = 30)],
    ['pods spread', (objects) => router(objects).topologySpreadConstraints!.pop()],
    ['volumes are there', (objects) => router(objects).volumes!.pop()],
    [
      'volumes are there',
      (objects) =>
        (router(objects).containers[0]!.volumeMounts!.find(({ name }) => name === 'tls')!.subPath =
          'tls.crt'),
    ],
    ['what pods refer to', remove('ServiceAccount')],
    ['Services find pods', (objects) => (router(objects).containers[0]!.ports![0]!.name = 'other')],
    ['services are called at', (objects) => remove('Service')(objects)],
    [
      'who is scaled',
      (objects) => (named(objects, 'Deployment', 'dmoerm-expert-h100').spec!['replicas'] = 2),
    ],
  ])('what breaks "%s"', (rule, change) => {
    expect(changed(change)).toContainEqual(expect.stringContaining(rule));
  });
});

function remove(kind: string) {
  return (objects: KubeObject[]): void => {
    for (const object of ofKind(objects, kind)) objects.splice(objects.indexOf(object), 1);
  };
}

describe('the GPU manifests', () => {
  const objects = keptManifests('gpu');
  const pod = (name: string): PodSpec => podOf(named(objects, 'Deployment', name)).spec;

  it('give each pod its GPU, the image for it and its runtime', () => {
    const { containers, runtimeClassName } = pod('dmoerm-expert-h100');
    expect(containers[0]?.resources?.limits?.['nvidia.com/gpu']).toBe(1);
    expect(containers[0]?.image).toMatch(/\/expert-cuda:/);
    expect(runtimeClassName).toBe('nvidia');
    expect(pod('dmoerm-expert-chat-a100-mig').containers[0]?.resources?.limits).toHaveProperty(
      ['nvidia.com/mig-3g.40gb'],
      1,
    );
  });

  it('append own tolerations, or put them in the place of the shared ones', () => {
    const keys = (name: string): unknown[] => pod(name).tolerations?.map(({ key }) => key) ?? [];
    expect(keys('dmoerm-expert-h100')).toEqual(['dedicated', 'nvidia.com/gpu']);
    expect(keys('dmoerm-expert-chat-a100-mig')).toEqual(['nvidia.com/gpu']);
    expect(keys('dmoerm-router')).toEqual(['dedicated']);
  });

  it('scale each expert Deployment on its own queued tokens', () => {
    const queries = ofKind(objects, 'ScaledObject').map(({ spec }) => {
      const [trigger] = spec?.['triggers'] as { metadata: { query: string } }[];
      return trigger?.metadata.query;
    });
    expect(queries).toContain(
      'sum(dmoerm_queue_tokens{namespace="dmoerm",pod=~"dmoerm-expert-h100-[a-z0-9]+-[a-z0-9]+"})',
    );
    // The name of one must not find the pods of another.
    const find = (query = ''): string[] =>
      ofKind(objects, 'Deployment')
        .map(({ metadata }) => metadata.name)
        .filter((name) =>
          new RegExp(`^(?:${/pod=~"([^"]+)"/.exec(query)?.[1]})$`).test(`${name}-5d4f9c7b6d-x2x4z`),
        );
    expect(queries.map((query) => find(query).length)).toEqual([1, 1, 1]);
  });

  it('let the router reach the experts of a task in every Deployment that hosts it, and no other', () => {
    const behind = (service: string): string[] =>
      ofKind(objects, 'Deployment')
        .filter((one) =>
          Object.entries(named(objects, 'Service', service).spec?.selector ?? {}).every(
            ([key, value]) => podOf(one).labels[key] === value,
          ),
        )
        .map(({ metadata }) => metadata.name);
    expect(behind('dmoerm-task-chat')).toEqual(['dmoerm-expert-chat-h100', 'dmoerm-expert-chat-a100-mig']);
    expect(behind('dmoerm-task-roleplay')).toEqual(['dmoerm-expert-chat-h100']);
    expect(behind('dmoerm-expert')).toEqual(['dmoerm-expert-h100']);
  });

  it('give the weights time to load', () => {
    const { periodSeconds = 0, failureThreshold = 0 } =
      pod('dmoerm-expert-h100').containers[0]?.startupProbe ?? {};
    expect(periodSeconds * failureThreshold).toBeGreaterThanOrEqual(60 + 15 * 30);
  });
});
