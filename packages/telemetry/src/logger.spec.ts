import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DmoermError } from '@dmoerm/core';
import { describeError } from './logger';

const SECRET = 'my secret prompt';

function jsonError(): unknown {
  try {
    return JSON.parse(SECRET);
  } catch (error) {
    return error;
  }
}

describe('describeError', () => {
  it('keeps what a DmoermError says', () => {
    const error = new DmoermError({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_TASK',
      message: 'no such task',
      metadata: { task: 'x' },
    });
    expect(describeError(error)).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_TASK',
      message: 'no such task',
    });
  });

  it.each([
    ['a foreign error', jsonError()],
    ['a foreign error that was wrapped', DmoermError.from(jsonError())],
    ['a foreign cause', new DmoermError({ code: 'INTERNAL', reason: 'X', message: 'x', cause: jsonError() })],
    ['a thrown string', SECRET],
    ['an error with the text on several lines', new Error(`a\n${SECRET}\n    at ${SECRET} (x)`)],
  ])('does not repeat the text of %s', (_, error) => {
    expect(JSON.stringify(describeError(error))).not.toContain('secret');
  });

  it('keeps the class and the stack of a foreign error', () => {
    const described = describeError(jsonError());
    expect(described).toMatchObject({ name: 'SyntaxError' });
    expect(JSON.stringify(described)).toContain('logger.spec');
  });
});

it('a full disk costs log lines and nothing else', () => {
  const source = `require(${JSON.stringify(join(__dirname, '..'))}).logger.info('x'); setTimeout(() => console.log('alive'), 50);`;
  const full = openSync('/dev/full', 'w');
  const { status, stdout } = spawnSync(process.execPath, ['-e', source], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', full],
  });
  closeSync(full);
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'alive\n' });
});
