import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readDocument } from './document';
import { createValidators } from './validate';

/** The command line of a validator that is an ES module, which jest does not load. */
const VALIDATOR = join(
  dirname(require.resolve('@seriousme/openapi-schema-validator')),
  'bin',
  'validate-api-cli.js',
);
const document = readDocument();

/** What the validator says of a document. */
function validity(content: object): unknown {
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-openapi-'));
  try {
    const file = join(folder, 'openapi.json');
    writeFileSync(file, JSON.stringify(content));
    const { stdout } = spawnSync(process.execPath, [VALIDATOR, file], { encoding: 'utf8' });
    return (JSON.parse(stdout) as { valid: unknown }).valid;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the document', () => {
  it('is OpenAPI 3.1, and a misspelt part of it would not be', () => {
    expect(validity(document.content)).toBe(true);
    expect(validity({ ...document.content, pahts: {} })).toBe(false);
  });

  it('keeps to plain YAML, which every tool reads: no merge keys', () => {
    expect(JSON.stringify(document.content)).not.toContain('"<<"');
  });

  it('has schemas that all operations can be held against', () => {
    const validatorOf = createValidators(document);
    for (const operation of document.operations.values()) expect(() => validatorOf(operation)).not.toThrow();
  });

  it('says who is let in without an identity: probes and tools', () => {
    const open = [...document.operations.values()].filter((one) => one.open).map(({ path }) => path);
    expect(open).toEqual(['/openapi.json', '/healthz', '/readyz']);
  });
});
