import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openExpertSource } from '@dmoerm/bundle';
import { goldenBase, goldenExpert, readGoldenScores, TOLERANCES } from '@dmoerm/testing';
import { checkExpert, readCheckRecords } from './check-expert';
import { rewrite } from './spec-support/damaged';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('scores of the trainer', () => {
  const check = async (source: string, basePath = goldenBase('llama')) => {
    const records = await readCheckRecords(join(source, 'dmoerm_check.jsonl'));
    const opened = await openExpertSource(source, null, basePath);
    return checkExpert({ basePath, plan: { type: 'full' }, source: opened }, records ?? [], 1e-3);
  };

  it('are found again', async () => {
    const { count: found, difference } = await check(goldenExpert('trl-lora'));
    expect(found).toBe(8);
    expect(difference).toBeLessThan(TOLERANCES.float32Scores);
  });

  it('show another base of the same sizes', async () => {
    const other = join(folder, 'other-base');
    cpSync(goldenBase('llama'), other, { recursive: true });
    await rewrite(
      join(goldenBase('llama'), 'model.safetensors'),
      join(other, 'model.safetensors'),
      (name, data, shape) => ({
        data: name.includes('layers.2.mlp.down_proj') ? data.map((value) => 1.1 * value) : data,
        shape,
      }),
    );
    await expect(check(goldenExpert('trl-lora'), other)).rejects.toMatchObject({ reason: 'SCORES_DIFFER' });
  });

  it('show other tokens, with the first that differs', async () => {
    const copy = join(folder, 'copy');
    cpSync(goldenExpert('trl-lora'), copy, { recursive: true });
    const [record] = readGoldenScores('trl-lora');
    const ids = [...(record?.input_ids ?? [])];
    writeFileSync(
      join(copy, 'dmoerm_check.jsonl'),
      `${JSON.stringify({ ...record, input_ids: ids.slice(0, -1) })}\n`,
    );
    await expect(check(copy)).rejects.toMatchObject({
      reason: 'TOKENS_DIFFER',
      field: 'records[0].input_ids',
      message: expect.stringContaining(`token ${ids.length - 1} is missing there and 3 here`),
    });
  });

  it.each([
    ['no JSON', '{', /:1: is no JSON/],
    [
      'a record without a score',
      '{"messages":[{"role":"user","content":"a"}],"candidate":"b","input_ids":[1]}',
      /:1: score/,
    ],
    ['nothing', '\n', /holds no record/],
  ])('are refused where a file holds %s', async (_, text, message) => {
    const file = join(folder, 'bad.jsonl');
    writeFileSync(file, text);
    await expect(readCheckRecords(file)).rejects.toMatchObject({
      reason: 'BAD_CHECK_RECORD',
      message: expect.stringMatching(message),
    });
    expect(await readCheckRecords(join(folder, 'none.jsonl'))).toBeNull();
  });
});
