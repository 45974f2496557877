import { DmoermError } from '@dmoerm/core';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { defineConfig, helpRequested, helpText, loadConfig, redact } from './index';
import type { ConfigSources } from './index';

const DEFINITION = defineConfig({
  name: 'router',
  description: 'Routes conversations to experts.',
  options: {
    address: { schema: z.string(), default: '127.0.0.1:50051', why: 'Where to listen.' },
    maxItems: { schema: z.number().int().positive(), default: 64, why: 'Items per request.' },
    reflection: { schema: z.boolean(), default: false, why: 'Whether to offer reflection.' },
    otlpEndpoint: {
      schema: z.string().nullable(),
      default: null,
      env: 'OTLP_ENDPOINT',
      why: 'Where to send traces.',
    },
    experts: { schema: z.array(z.string()), default: [], why: 'Targets of the experts.' },
    apiKey: {
      schema: z.string().min(8),
      default: 'changeit-please',
      secret: true,
      why: 'Key of the operators.',
    },
  },
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const load = (sources: ConfigSources) => loadConfig(DEFINITION, { argv: [], env: {}, ...sources });

function failure(sources: ConfigSources): DmoermError {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof DmoermError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('loadConfig', () => {
  it('lets flags win over the environment, the environment over the file, the file over the defaults', () => {
    const file = write('all.yaml', 'maxItems: 1\naddress: file:1\nexperts: [a, b]\n');
    const env = { DMOERM_ROUTER_MAX_ITEMS: '2', DMOERM_ROUTER_ADDRESS: 'env:2' };
    const config = load({ argv: ['--max-items', '3'], env, file });
    expect(config).toMatchObject({ maxItems: 3, address: 'env:2', experts: ['a', 'b'], reflection: false });
  });

  it.each<[string, ConfigSources, object]>([
    ['a switch alone', { argv: ['--reflection'] }, { reflection: true }],
    ['a switch with a value', { argv: ['--reflection', 'false'] }, { reflection: false }],
    ['a switch from the environment', { env: { DMOERM_ROUTER_REFLECTION: 'true' } }, { reflection: true }],
    ['a number after an equals sign', { argv: ['--max-items=7'] }, { maxItems: 7 }],
    ['text that looks like a number', { argv: ['--address', '8080'] }, { address: '8080' }],
    ['a list with commas', { argv: ['--experts', 'a:1, b:2'] }, { experts: ['a:1', 'b:2'] }],
    [
      'an own environment name',
      { env: { OTLP_ENDPOINT: 'http://c:4317' } },
      { otlpEndpoint: 'http://c:4317' },
    ],
    ['an empty variable as if unset', { env: { DMOERM_ROUTER_MAX_ITEMS: '' } }, { maxItems: 64 }],
  ])('reads %s', (_, sources, expected) => expect(load(sources)).toMatchObject(expected));

  it('takes the file that flag or environment names, JSON too', () => {
    const flag = write('flag.json', '{"maxItems": 5}');
    const variable = write('env.yaml', 'maxItems: 6');
    expect(load({ argv: ['--config', flag], env: { DMOERM_ROUTER_CONFIG: variable } }).maxItems).toBe(5);
    expect(load({ env: { DMOERM_ROUTER_CONFIG: variable } }).maxItems).toBe(6);
  });

  it.each<[string, ConfigSources, string, RegExp]>([
    ['an unknown flag', { argv: ['--max-item', '3'] }, '--max-item', /Did you mean --max-items/],
    ['a stray argument', { argv: ['serve'] }, 'argv', /--help/],
    ['a flag without its value', { argv: ['--address'] }, '--address', /argument missing/],
    ['a bad flag', { argv: ['--max-items', 'many'] }, '--max-items', /expected number.*"many"/],
    ['a number out of range', { argv: ['--max-items', '0'] }, '--max-items', />0/],
    ['a bad variable', { env: { DMOERM_ROUTER_MAX_ITEMS: '1.5' } }, 'DMOERM_ROUTER_MAX_ITEMS', /int/],
  ])('refuses %s, naming it and the fix', (_, sources, field, text) => {
    const error = failure(sources);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field });
    expect(error.message).toMatch(text);
  });

  it('refuses a file with an unknown key, with no mapping in it, or that is not there', () => {
    expect(failure({ file: write('typo.yaml', 'maxItem: 1') })).toMatchObject({
      reason: 'UNKNOWN_OPTION',
      field: 'maxItem',
    });
    expect(failure({ file: write('list.yaml', '- 1') }).reason).toBe('CONFIG_FILE_INVALID');
    expect(failure({ file: write('bad.yaml', 'a: [') }).reason).toBe('CONFIG_FILE_INVALID');
    expect(failure({ file: join(folder, 'none.yaml') }).code).toBe('NOT_FOUND');
  });

  it('demands settings without a default', () => {
    const definition = defineConfig({
      name: 'expert',
      description: 'Scores.',
      options: { bundle: { schema: z.string(), why: 'What to serve.' } },
    });
    expect(() => loadConfig(definition, { argv: [], env: {} })).toThrow(
      /--bundle is required.*DMOERM_EXPERT_BUNDLE/,
    );
    expect(loadConfig(definition, { argv: ['--bundle', 'x'], env: {} })).toEqual({ bundle: 'x' });
  });
});

describe('secrets', () => {
  it('appear neither in help, nor in errors, nor redacted', () => {
    expect(helpText(DEFINITION)).not.toContain('changeit');
    expect(failure({ argv: ['--api-key', 'short'] }).message).not.toContain('short');
    expect(redact(DEFINITION, load({}))).toMatchObject({ apiKey: '(secret)', maxItems: 64 });
  });
});

describe('helpText', () => {
  it('teaches flag, environment variable, default and reason of each setting', () => {
    const help = helpText(DEFINITION).replace(/\s+/g, ' ');
    expect(help).toContain(
      '--max-items <value> Items per request. [env DMOERM_ROUTER_MAX_ITEMS; default 64]',
    );
    expect(help).toContain('--config <file>');
    expect(helpRequested(['--max-items', '1', '-h'])).toBe(true);
  });
});

describe('defineConfig', () => {
  it('refuses a default that its own schema refuses', () => {
    const options = { port: { schema: z.number(), default: 'x', why: 'Port.' } };
    expect(() => defineConfig({ name: 'x', description: '', options })).toThrow();
  });
});
