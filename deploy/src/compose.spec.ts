import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { helpText, loadConfig } from '@dmoerm/config';
import { TOOLS } from './chart';
import { SERVICES } from './settings-schema';

interface Service {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly user?: string;
  readonly cap_drop?: readonly string[];
}

const FOLDER = join(__dirname, '..', 'compose');
const layers = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
const read = (name: string): { services: Record<string, Service> } =>
  parse(readFileSync(join(FOLDER, name), 'utf8'), { merge: true }) as never;
const { services } = read('compose.yaml');

describe('the compose files', () => {
  const file = join(TOOLS, 'schemas', 'compose-spec.json');
  if (!existsSync(file))
    process.stderr.write('skipped: compose files against their specification (npm run tools -w deploy)\n');
  const withSchema = existsSync(file) ? describe : describe.skip;

  withSchema('keep to the specification', () => {
    let accepts: ValidateFunction;
    beforeAll(() => {
      accepts = new Ajv2020({ strict: false, validateFormats: false }).compile(
        JSON.parse(readFileSync(file, 'utf8')) as object,
      );
    });
    it.each(layers)('%s', (name) => {
      accepts(read(name));
      expect(accepts.errors).toBeNull();
    });
    it('and the specification refuses a misspelt key', () => {
      expect(accepts({ services: { a: { image: 'x', comand: [] } } })).toBe(false);
    });
  });

  it.each(Object.keys(SERVICES) as (keyof typeof SERVICES)[])(
    'give the %s flags and variables that it knows',
    (name) => {
      const definition = SERVICES[name] as typeof SERVICES.aggregator;
      const { command = [], environment = {} } = services[name] ?? {};
      const env = Object.fromEntries(
        Object.entries(environment).map(([key, value]) => [key, value.replace(/\$\{\w+:-(.*)\}/, '$1')]),
      );
      expect(loadConfig(definition, { argv: [...command], env })).toMatchObject({
        insecure: true,
        graceMs: 60_000,
      });
      for (const variable of Object.keys(environment)) expect(helpText(definition)).toContain(variable);
    },
  );

  it.each(Object.entries(services))(
    'run the %s as nobody, without capabilities, on a root that it cannot write',
    (_, service) => {
      expect(service).toMatchObject({ user: '65532:65532', read_only: true, cap_drop: ['ALL'] });
    },
  );

  it('publish ports to this machine alone, in every layer', () => {
    const ports = layers.flatMap((name) =>
      Object.values(read(name).services).flatMap((service) => service.ports ?? []),
    );
    expect(ports.length).toBeGreaterThan(3);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('mount files that are there', () => {
    const mounts = layers.flatMap((name) =>
      Object.values(read(name).services).flatMap((service) => service.volumes ?? []),
    );
    const files = mounts.flatMap((mount) => /^(\.[^:]*):/.exec(mount)?.[1] ?? []);
    expect(files.length).toBeGreaterThan(1);
    for (const path of files) expect(existsSync(join(FOLDER, path))).toBe(true);
  });
});
