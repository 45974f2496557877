import { loadConfig } from '@dmoerm/config';
import Ajv from 'ajv';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CHART, keptManifests } from './chart';
import { ofKind, podOf } from './objects';
import { settingsOf } from './rules';
import { SERVICES, settingsSchema } from './settings-schema';

type Values = Record<string, unknown>;

const read = (name: string): string => readFileSync(join(CHART, name), 'utf8');
const schema = JSON.parse(read('values.schema.json')) as { definitions: Record<string, unknown> };
const accepts = new Ajv({ allowUnionTypes: true, strict: false }).compile(schema);
const defaults = parse(read('values.yaml')) as Values;

/** Values over values, as helm puts them: mappings are merged, everything else replaced. */
function merged(base: unknown, over: unknown): unknown {
  const mapping = (value: unknown): value is Values =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!mapping(base) || !mapping(over)) return over;
  const keys = Object.entries(over).map(([key, value]) => [
    key,
    key in base ? merged(base[key], value) : value,
  ]);
  return { ...base, ...(Object.fromEntries(keys) as Values) };
}

describe('the schema of values', () => {
  it.each(['values.yaml', 'values-cpu.yaml', 'values-gpu.yaml'])('accepts %s', (name) => {
    accepts(merged(defaults, parse(read(name))));
    expect(accepts.errors).toBeNull();
  });

  it.each<[string, string]>([
    ['a misspelt key', 'router: { replica: 3 }'],
    ['a misspelt key at the top', 'routr: { replicas: 3 }'],
    ['a setting that the service does not have', 'router: { settings: { maxItem: 3 } }'],
    ['a token of the gateway in clear', 'gateway: { settings: { routerToken: dmoerm_secret } }'],
    ['a setting of the wrong type', 'router: { settings: { maxItems: many } }'],
    ['a setting that the chart makes', 'expertDefaults: { settings: { listen: "0.0.0.0:1" } }'],
    ['no replica', 'aggregator: { replicas: 0 }'],
    ['no expert', 'experts: []'],
    ['an expert without a name', 'experts: [{ replicas: 1 }]'],
    ['a name that Kubernetes refuses', 'experts: [{ name: GPU_1 }]'],
    ['a name that leaves the pods none', 'experts: [{ name: a-very-long-name-of-a-pool }]'],
    ['an unknown scaler', 'expertDefaults: { autoscaling: { type: magic } }'],
    ['a scaler down to nothing', 'expertDefaults: { autoscaling: { minReplicas: 0 } }'],
    ['an unknown source of bundles', 'bundle: { source: ftp }'],
    ['a claim without a name', 'bundle: { source: claim }'],
    ['an image without a name', 'bundle: { source: image }'],
    ['a copy out of no image', 'bundle: { source: copy }'],
    ['a path out of the volume', 'bundle: { ref: ../../etc }'],
    ['an unknown mode of security', 'security: { mode: maybe }'],
    [
      'a token in clear',
      'security: { identities: [{ name: a, role: trainer, token_sha256: [dmoerm_secret] }] }',
    ],
    ['an identity that nothing proves', 'security: { identities: [{ name: a, role: trainer }] }'],
    [
      'an identity that takes the place of a service',
      'security: { identities: [{ name: a, role: service, subjects: ["DNS:a"] }] }',
    ],
    ['a port that needs root', 'ports: { grpc: 443 }'],
    ['a number as text', 'router: { replicas: "3" }'],
    ['a quantity that is none', 'router: { resources: { limits: { memory: lots } } }'],
    ['an empty peer, which is everybody', 'networkPolicy: { trainers: [{}] }'],
    ['training without a recipe', 'training: { enabled: true }'],
    ['a sample ratio above 1', 'telemetry: { sampleRatio: 2 }'],
  ])('refuses %s', (_, text) => {
    expect(accepts(merged(defaults, parse(text)))).toBe(false);
  });

  it.each(['router', 'expert', 'aggregator', 'gateway'] as const)(
    'knows the settings of the %s (npm run render -w deploy)',
    (service) => {
      expect(schema.definitions[`${service}Settings`]).toEqual(settingsSchema(service));
    },
  );
});

it('every value says what it means', () => {
  const lines = read('values.yaml').split('\n');
  const explained = new Set<string>();
  const silent: string[] = [];
  for (const [i, line] of lines.entries()) {
    const [, key] = /^\s*(?:- )?([A-Za-z]+):/.exec(line) ?? [];
    if (key === undefined) continue;
    if (/^\s*(- )?#/.test(lines[i - 1] ?? '')) explained.add(key);
    else silent.push(key);
  }
  // Once for all services is enough, and for words of Kubernetes.
  const known = ['enabled', 'resources', 'requests', 'limits', 'podSelector', 'namespaceSelector', 'ipBlock'];
  expect(silent.filter((key) => !explained.has(key) && !known.includes(key))).toEqual([]);
});

describe.each(['cpu', 'gpu'])('the services take their settings of %s', (name) => {
  const objects = keptManifests(name);
  const values = merged(defaults, parse(read(`values-${name}.yaml`))) as Values & {
    drain: { lameDuckSeconds: number };
  };
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-settings-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const deployments = ofKind(objects, 'Deployment')
    .map(
      (one) =>
        [one.metadata.name, one.spec?.template?.metadata.labels['app.kubernetes.io/component']] as const,
    )
    .filter((entry): entry is [string, keyof typeof SERVICES] => (entry[1] ?? '') in SERVICES);

  it.each(deployments)('%s', (deployment, service) => {
    const settings = settingsOf(objects, deployment);
    const file = join(folder, `${deployment}.json`);
    writeFileSync(file, JSON.stringify(settings));
    const config = loadConfig(SERVICES[service] as typeof SERVICES.aggregator, {
      argv: ['--config', file],
      env: {},
    });
    expect(config).toMatchObject(settings);
  });

  it.each(deployments)('%s has the time of the formula to drain', (deployment, service) => {
    const experts = values['experts'] as { name: string; longestCallSeconds?: number }[];
    const own =
      service === 'expert' ? experts.find((one) => deployment.endsWith(`-expert-${one.name}`)) : undefined;
    const common = values[service === 'expert' ? 'expertDefaults' : service] as {
      longestCallSeconds: number;
    };
    const seconds =
      values.drain.lameDuckSeconds + (own?.longestCallSeconds ?? common.longestCallSeconds) + 10;
    const { spec } = podOf(
      ofKind(objects, 'Deployment').find(({ metadata }) => metadata.name === deployment)!,
    );
    expect(spec.terminationGracePeriodSeconds).toBe(seconds);
    expect(settingsOf(objects, deployment)).toMatchObject({ graceMs: seconds * 1000, lameDuckMs: 5000 });
  });
});

describe('the access files', () => {
  it('let trainers and the gateway call the router, and of them only operators the others', () => {
    const [secret] = ofKind(keptManifests('gpu'), 'Secret');
    const names = (file: string): unknown[] =>
      (
        parse(secret?.stringData?.[file] ?? '') as { identities: { name: string; role: string }[] }
      ).identities.map(({ name, role }) => `${name} (${role})`);
    expect(names('router.yaml')).toEqual(['trainers (trainer)', 'operators (operator)', 'gateway (service)']);
    expect(names('internal.yaml')).toEqual(['router (service)', 'operators (operator)']);
  });
});
