import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import {
  CHART,
  KUBE_VERSION,
  RENDERED,
  findTool,
  helm,
  kubeconform,
  parseManifests,
  renderChart,
} from './chart';
import { allows, type End } from './network';
import { named, ofKind, podOf, selects } from './objects';
import type { KubeObject } from './objects';
import { OBSERVABILITY } from './observability/generated';
import { settingsOf, violations } from './rules';

const absent = ['helm', 'kubeconform'].filter((name) => findTool(name) === null);
if (absent.length > 0)
  process.stderr.write(
    `skipped: the chart through ${absent.join(' and ')} (not installed; npm run tools -w deploy)\n`,
  );
const withTools = absent.length > 0 ? describe.skip : describe;

/** Switches that change the shape of what is rendered. */
const SWITCHES: Readonly<Record<string, readonly string[]>> = {
  defaults: [],
  'no gateway': ['--set', 'gateway.enabled=false,security.mode=insecure'],
  'no network policies': ['--set', 'networkPolicy.enabled=false'],
  plaintext: ['--set', 'security.mode=insecure'],
  'secrets of other names': [
    '--set',
    'security.accessSecret=access,security.certificates.expert=expert-certificate',
  ],
  'a bundle from a claim': ['--set', 'bundle.source=claim,bundle.claim=bundles'],
  'a bundle from an OCI image': ['--set', 'bundle.source=image,bundle.image=example/bundle:1,bundle.ref='],
  'a bundle that is copied': ['--set', 'bundle.source=copy,bundle.image=example/bundle:1'],
  'a base that is pulled': ['--set', 'bundle.pullBase=smollm2-135m,bundle.cache.claim=cache'],
  'a bundle of its own for one expert': [
    '--set',
    'experts[0].name=a,experts[0].bundle.source=claim,experts[0].bundle.claim=local',
  ],
  HPA: ['--set', 'expertDefaults.autoscaling.type=hpa'],
  KEDA: ['--set', 'expertDefaults.autoscaling.type=keda'],
  'a ServiceMonitor': [
    '--set',
    'serviceMonitor.enabled=true,serviceMonitor.additionalLabels.release=prometheus',
  ],
  'rules and dashboards': [
    '--set',
    'prometheusRule.enabled=true,prometheusRule.additionalLabels.release=prometheus,dashboards.enabled=true',
  ],
  traces: ['--set', 'telemetry.otlpEndpoint=http://collector:4317'],
  'experts by task': [
    '--set',
    'experts[0].name=a,experts[0].tasks={chat,objective_qa},experts[1].name=b,experts[1].tasks={chat}',
  ],
  'GPUs of a slice': [
    '--set',
    'expertDefaults.gpu.count=1,expertDefaults.gpu.resource=nvidia.com/mig-1g.10gb',
  ],
  'other ports': ['--set', 'ports.grpc=6001,ports.health=6002,ports.metrics=6003,ports.http=6004'],
  'large settings': ['--set', 'router.settings.maxInFlightBytes=268435456'],
};

withTools('the chart', () => {
  it('passes lint', () => {
    for (const [name, args] of Object.entries({ ...RENDERED, ...SWITCHES }))
      if (!args.includes('--show-only'))
        expect([
          name,
          helm('lint', CHART, '--strict', '--quiet', '--kube-version', KUBE_VERSION, ...args).trim(),
        ]).toEqual([name, '']);
  });

  it.each(Object.keys(RENDERED))(
    'renders the manifests that are kept as %s (npm run render -w deploy)',
    (name) => {
      const kept = readFileSync(join(CHART, '..', 'rendered', `${name}.yaml`), 'utf8');
      expect(renderChart(RENDERED[name] ?? [])).toBe(kept);
    },
  );

  it.each(Object.entries(SWITCHES))('renders sound objects with %s', (_, args) => {
    const manifests = renderChart(args);
    kubeconform(manifests);
    expect(violations(parseManifests(manifests))).toEqual([]);
  });

  it.each(['rm', 'a-rather-long-name-for-a-release'])(
    'renders sound objects for the release %s',
    (release) => {
      const manifests = renderChart(SWITCHES['KEDA'] ?? [], release);
      kubeconform(manifests);
      const objects = parseManifests(manifests);
      expect(violations(objects)).toEqual([]);
      // With the hashes that follow it, a longer name of a Deployment is cut in the names of its pods.
      for (const { metadata } of ofKind(objects, 'Deployment'))
        expect(metadata.name.length).toBeLessThanOrEqual(46);
    },
  );

  it.each(Object.keys(RENDERED))('renders what the schemas of Kubernetes accept as %s', (name) => {
    kubeconform(renderChart(RENDERED[name] ?? []));
  });

  it('is checked with schemas that refuse unknown fields, in resources and custom resources', () => {
    const manifests = renderChart(['--set', 'expertDefaults.autoscaling.type=keda']);
    expect(() =>
      kubeconform(manifests.replace('unhealthyPodEvictionPolicy:', 'unhealthyPodPolicy:')),
    ).toThrow();
    expect(() => kubeconform(manifests.replace('pollingInterval:', 'pollInterval:'))).toThrow();
  });

  it.each([
    ['values that the schema does not know', ['--set', 'router.replica=3'], /replica/],
    ['two experts of one name', ['--set', 'experts[0].name=a,experts[1].name=a'], /the name a stands twice/],
    ['a router that nobody may call', ['--set', 'gateway.enabled=false'], /name those who may call/],
    ['one port for two things', ['--set', 'ports.grpc=7000,ports.health=7000'], /must differ/],
  ])('refuses %s', (_, args, why) => {
    expect(() => renderChart(args)).toThrow(why);
  });

  describe('delivers bundles', () => {
    const router = (
      args: readonly string[],
    ): { objects: KubeObject[]; pod: ReturnType<typeof podOf>['spec'] } => {
      const objects = parseManifests(renderChart(args));
      return { objects, pod: podOf(named(objects, 'Deployment', 'dmoerm-router')).spec };
    };

    it.each([
      [
        'a bundle from a claim',
        '/bundles/default',
        { persistentVolumeClaim: { claimName: 'bundles', readOnly: true } },
      ],
      ['a bundle from an OCI image', '/bundles', { image: { reference: 'example/bundle:1' } }],
      ['a bundle that is copied', '/bundles/default', { emptyDir: {} }],
    ])('%s, read-only', (name, reference, volume) => {
      const { objects, pod } = router(SWITCHES[name] ?? []);
      expect(settingsOf(objects, 'dmoerm-router')['bundle']).toBe(reference);
      expect(pod.volumes?.find((one) => one.name === 'bundles')).toMatchObject(volume);
      expect(pod.containers[0]?.volumeMounts).toContainEqual({
        name: 'bundles',
        mountPath: '/bundles',
        readOnly: true,
      });
    });

    it('and bases, before a service starts', () => {
      const { pod } = router(SWITCHES['a base that is pulled'] ?? []);
      expect(pod.initContainers?.[0]?.args).toEqual(['base', 'pull', 'smollm2-135m']);
      const [mount] = pod.initContainers?.[0]?.volumeMounts ?? [];
      expect(pod.containers[0]?.volumeMounts).toContainEqual(mount);
    });
  });

  it('carries the rules and dashboards of deploy/observability, with runbooks where they are', () => {
    const args = SWITCHES['rules and dashboards'] ?? [];
    const objects = parseManifests(renderChart([...args, '--set', 'prometheusRule.runbooks=wiki/dmoerm']));
    const rules = readFileSync(join(OBSERVABILITY, 'rules.yaml'), 'utf8');
    expect(named(objects, 'PrometheusRule', 'dmoerm').spec).toEqual(
      parse(rules.replaceAll('docs/operations.md#', 'wiki/dmoerm#')),
    );
    const carried = ofKind(objects, 'ConfigMap').filter(
      ({ metadata }) => metadata.labels?.['grafana_dashboard'] === '1',
    );
    expect(Object.assign({}, ...carried.map(({ data }) => data))).toEqual(
      Object.fromEntries(
        readdirSync(join(OBSERVABILITY, 'dashboards')).map((name) => [
          name,
          readFileSync(join(OBSERVABILITY, 'dashboards', name), 'utf8'),
        ]),
      ),
    );
  });

  it('lets Prometheus, and nobody else, watch a training', () => {
    const switches = 'serviceMonitor.enabled=true,training.enabled=true,training.units={chat/logic}';
    const claims = 'training.dataClaim=data,training.runsClaim=runs,training.recipe=x';
    const objects = parseManifests(renderChart(['--set', switches, '--set', claims]));
    const [job] = ofKind(objects, 'Job');
    const { labels, spec } = podOf(job!);
    const selector = named(objects, 'PodMonitor', 'dmoerm-training').spec?.selector;
    expect(selects(selector?.matchLabels, labels)).toBe(true);
    expect(spec.containers[0]?.ports).toEqual([{ name: 'metrics', containerPort: 9464 }]);
    const pod: End = { type: 'pod', namespace: 'dmoerm', labels };
    const reads = (name: string): boolean =>
      allows(
        objects,
        'dmoerm',
        { type: 'pod', namespace: 'monitoring', labels: { 'app.kubernetes.io/name': name } },
        pod,
        9464,
      );
    expect([reads('prometheus'), reads('web')]).toEqual([true, false]);
  });

  it('restarts pods when their settings change, and only then', () => {
    const checksum = (...args: string[]): unknown[] =>
      ofKind(parseManifests(renderChart(args)), 'Deployment').map(
        ({ spec }) => spec?.template?.metadata.annotations?.['checksum/settings'],
      );
    const before = checksum();
    const after = checksum('--set', 'router.settings.maxItems=7');
    expect(after.map((one, i) => one === before[i])).toEqual([true, true, true, false]);
  });
});
