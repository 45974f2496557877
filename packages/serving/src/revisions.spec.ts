import { DmoermError } from '@dmoerm/core';
import { logger, metrics } from '@dmoerm/telemetry';
import { Revisions, type RevisionSource } from './revisions';

class Value implements AsyncDisposable {
  disposed = false;
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
  }
}

const values = new Map<string, Value>();

/** Revisions whose references are their digests; `bad` does not open, `broken` does not load. */
function revisions(maxBytes = 100): Revisions<Value> {
  const source: RevisionSource<Value> = {
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
    bytes: ({ revision }) => (revision === 'large' ? 90 : 40),
  };
  return new Revisions(source, maxBytes);
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
      { revision: 'b', name: 'name of b', active: true, bytes: 40, pinned: false },
      { revision: 'a', name: 'name of a', active: false, bytes: 40, pinned: false },
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

  it('lists the revision before the active one second: what a rollback returns to', async () => {
    const all = revisions(1000);
    for (const revision of ['a', 'b', 'c']) all.activate((await all.load(revision)).revision);
    await all.load('d');
    expect(all.list().map(({ revision }) => revision)).toEqual(['c', 'b', 'a', 'd']);
  });

  describe('where memory is short', () => {
    const listed = (all: Revisions<Value>): string[] => all.list().map(({ revision }) => revision);

    it('evicts what was active longest ago, and frees it', async () => {
      const all = revisions();
      for (const revision of ['a', 'b']) all.activate((await all.load(revision)).revision);
      await all.load('c');
      expect(listed(all)).toEqual(['b', 'c']);
      expect(values.get('a')?.disposed).toBe(true);
      expect(() => all.pin('a')).toThrow(expect.objectContaining({ reason: 'REVISION_NOT_ACTIVE' }));
    });

    it('spares the active revision, pinned ones, and those that a request holds: then it refuses and evicts nothing', async () => {
      const all = revisions();
      all.activate((await all.load('a')).revision);
      await all.load('b', true);
      await expect(all.load('c')).rejects.toMatchObject({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'BUNDLE_BUDGET',
        message: expect.stringContaining('maxBundleBytes'),
      });
      await all.unload('b');
      await all.load('c');
      const lease = all.pin('c');
      await expect(all.load('d')).rejects.toMatchObject({ reason: 'BUNDLE_BUDGET' });
      expect(listed(all)).toEqual(['a', 'c']);
      lease[Symbol.dispose]();
      await all.load('d');
      expect(listed(all)).toEqual(['a', 'd']);
      // 90 do not fit beside the 40 of the active one: nothing goes for nothing.
      await expect(all.load('large')).rejects.toMatchObject({ reason: 'BUNDLE_BUDGET' });
      expect(listed(all)).toEqual(['a', 'd']);
    });

    it('takes a bundle beyond the budget if it is alone', async () => {
      const all = revisions(10);
      expect(await all.load('large')).toMatchObject({ bytes: 90 });
    });
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
