import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeReadyFile } from './ready-file';

describe('writeReadyFile', () => {
  it('writes the addresses as JSON and leaves nothing else behind', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dmoerm-ready-'));
    const path = join(directory, 'ready.json');
    await writeReadyFile(path, { address: '127.0.0.1:1', metrics: null, health: null });
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      address: '127.0.0.1:1',
      metrics: null,
      health: null,
    });
    expect(await readdir(directory)).toEqual(['ready.json']);
    await rm(directory, { recursive: true });
  });

  it('names the flag when the file cannot be written', async () => {
    const path = join(tmpdir(), 'no', 'such', 'folder', 'ready.json');
    await expect(writeReadyFile(path, { address: '', metrics: null, health: null })).rejects.toMatchObject({
      reason: 'READY_FILE_NOT_WRITABLE',
      field: '--ready-file',
    });
  });
});
