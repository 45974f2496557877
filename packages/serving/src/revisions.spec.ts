import { DmoermError } from '@dmoerm/core';
import { logger, metrics } from '@dmoerm/telemetry';
import { Revisions } from './revisions';

class Value implements AsyncDisposable {
  disposed = false;
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
  }
}

const values = new Map<string, Value>();

/** Revisions whose references are their digests; `bad` does not open, `broken` does not load. */
function revisions(): Revisions<Value> {
  return new Revisions({
    open: async (reference) => {
      if (reference === 'bad')
        throw new DmoermError({ code: 'DATA_LOSS', reason: 'DIGEST_MISMATCH', message: 'bad' });
      return { revision: reference, manifest: { name: `name of ${reference}` } } as never;
    },
    prepare: async ({ revision }) => {
      if (revision === 'broken')
        throw new DmoermError({ code: 'DATA_LOSS', reason: 'BAD_HEADS', message: 'broken' });
      const value = new Value();
      values.set(revision, value);
      return value;
    },
  });
}

beforeAll(() => {
  logger.level = 'silent';
});

describe('Revisions', () => {
  it('serves nothing before a bundle is active', () => {
    expect(() => revisions().pin()).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE', reason: 'NO_BUNDLE' }),
    );
  });

  it('loads beside the active revision and activates on demand', async () => {
    const all = revisions();
    all.activate((await all.load('a')).revision);
    await all.load('b');
    expect(all.pin().revision).toBe('a');
    expect(all.pin('b').revision).toBe('b');
    all.activate('b');
    expect(all.pin().revision).toBe('b');
    expect(all.list()).toEqual([
      { revision: 'b', name: 'name of b', active: true },
      { revision: 'a', name: 'name of a', active: false },
    ]);
  });

  it('loads a resident revision only once, even when asked twice at the same time', async () => {
    const all = revisions();
    await Promise.all([all.load('a'), all.load('a')]);
    const [value] = [values.get('a')];
    await all.load('a');
    expect(values.get('a')).toBe(value);
    expect(all.list()).toHaveLength(1);
  });

  it.each(['bad', 'broken'])('keeps serving the old revision when a bundle is %s', async (reference) => {
    const all = revisions();
    all.activate((await all.load('a')).revision);
    await expect(all.load(reference)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(all.pin().revision).toBe('a');
    expect(all.list()).toHaveLength(1);
    await expect(all.load('b')).resolves.toMatchObject({ revision: 'b' });
  });

  it('refuses a third revision before it takes memory', async () => {
    const all = revisions();
    await all.load('a');
    await all.load('b');
    values.clear();
    await expect(all.load('c')).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'TOO_MANY_BUNDLES',
    });
    expect(values.size).toBe(0);
  });

  it('frees an unloaded revision when its last request is answered', async () => {
    const all = revisions();
    all.activate((await all.load('a')).revision);
    const first = all.pin();
    const second = all.pin('a');
    await all.load('b');
    all.activate('b');
    const unloaded = all.unload('a');
    expect(() => all.pin('a')).toThrow(expect.objectContaining({ reason: 'REVISION_NOT_ACTIVE' }));
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(values.get('a')?.disposed).toBe(false);
    second[Symbol.dispose]();
    await unloaded;
    expect(values.get('a')?.disposed).toBe(true);
  });

  it('refuses to unload the active revision or one that it does not hold', async () => {
    const all = revisions();
    all.activate((await all.load('a')).revision);
    await expect(all.unload('a')).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'REVISION_ACTIVE',
    });
    await expect(all.unload('b')).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'REVISION_NOT_LOADED' });
    expect(() => all.activate('b')).toThrow(expect.objectContaining({ code: 'FAILED_PRECONDITION' }));
  });

  it('says in its metrics which revision serves', async () => {
    const all = revisions();
    all.activate((await all.load('x')).revision);
    await all.load('y');
    all.activate('y');
    const { values: samples } = await metrics.revisionInfo.get();
    const of = (revision: string) => samples.find(({ labels }) => labels.revision === revision)?.value;
    expect([of('x'), of('y')]).toEqual([0, 1]);
  });
});
