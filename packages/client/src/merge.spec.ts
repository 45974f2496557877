import { invalidArgument } from '@dmoerm/core';
import fc from 'fast-check';
import { mergeEqual, takeBatch, toParcel } from './merge';
import type { Parcel } from './merge';
import { splitOutcome } from './split';
import { toRequest } from './to-request';
import type { CandidateResult, ItemResult } from './types';

/** A parcel that knows what it was made of. */
interface Spec extends Parcel {
  readonly prompt: string;
}

const word = fc.constantFrom('', 'a', 'bb', 'ccc', 'x'.repeat(50));
/** Few prompts and options, so that many are equal. */
const parcel: fc.Arbitrary<Spec> = fc
  .record({
    prompt: fc.constantFrom('one', 'two', 'three'),
    task: fc.constantFrom('chat', 'qa'),
    candidates: fc.array(word, { maxLength: 6 }),
  })
  .map(({ prompt, task, candidates }) => ({
    ...toParcel(
      toRequest({
        prompt: { type: 'text', text: prompt },
        candidates,
        options: { routing: { type: 'forced', task } },
      }),
    ),
    prompt: `${task}/${prompt}`,
  }));
const parcels = fc.array(parcel, { maxLength: 40 });

/** An outcome whose every candidate says where it stood in the request. */
function outcomeOf(candidates: readonly string[]): ItemResult {
  const results = candidates.map((text, i): CandidateResult =>
    text === ''
      ? { type: 'error', error: invalidArgument(`candidates[${i}]`, 'EMPTY_CANDIDATE', 'empty') }
      : {
          type: 'score',
          reward: text.length,
          capabilities: [],
          uncertainty: { experts: 0, heads: 0 },
          tokenCount: i,
          truncated: false,
          degraded: false,
        },
  );
  const timingsNs = { queue: 0, engine: 0, aggregate: 0, total: 0 };
  return { type: 'scored', candidates: results, route: null, revision: 'r', timingsNs };
}

describe('takeBatch', () => {
  it('takes the first ones, as many as fit and at least one', () => {
    fc.assert(
      fc.property(
        parcels,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 600 }),
        (all, maxItems, maxBytes) => {
          const batch = takeBatch(all, { maxItems, maxBytes, maxCandidates: 8 });
          expect(batch).toEqual(all.slice(0, batch.length));
          expect(batch.length).toBeLessThanOrEqual(maxItems);
          expect(batch.length).toBeGreaterThanOrEqual(Math.min(1, all.length));
          const bytes = (some: readonly Parcel[]): number => some.reduce((sum, one) => sum + one.bytes, 0);
          if (batch.length > 1) expect(bytes(batch)).toBeLessThanOrEqual(maxBytes);
          // And none more would have fitted.
          const next = all[batch.length];
          if (next !== undefined && batch.length < maxItems)
            expect(bytes([...batch, next])).toBeGreaterThan(maxBytes);
        },
      ),
    );
  });
});

describe('mergeEqual and splitOutcome', () => {
  it('give every parcel the outcomes of its own candidates, in their order, whatever travelled along', () => {
    fc.assert(
      fc.property(parcels, fc.integer({ min: 1, max: 8 }), (all, maxCandidates) => {
        const answered = mergeEqual(all, maxCandidates).flatMap((merged) =>
          splitOutcome(merged, outcomeOf(merged.request.candidates)),
        );
        expect(new Set(answered.map(([one]) => one))).toEqual(new Set(all));
        expect(answered).toHaveLength(all.length);
        for (const [{ request }, outcome] of answered) {
          if (outcome.type === 'error') throw outcome.error;
          const got = outcome.candidates.map((one) => (one.type === 'score' ? one.reward : one.error.field));
          expect(got).toEqual(
            request.candidates.map((text, i) => (text === '' ? `candidates[${i}]` : text.length)),
          );
        }
      }),
    );
  });

  it('never put different prompts or options, or too many candidates, into one request', () => {
    fc.assert(
      fc.property(parcels, fc.integer({ min: 1, max: 8 }), (all, maxCandidates) => {
        for (const { request, parcels: members } of mergeEqual(all, maxCandidates)) {
          expect(new Set(members.map(({ prompt }) => prompt)).size).toBe(1);
          expect(request.candidates).toEqual(members.flatMap((one) => one.request.candidates));
          if (members.length > 1) expect(request.candidates.length).toBeLessThanOrEqual(maxCandidates);
          expect(members.length === 1 || members.every((one) => one.request.candidates.length > 0)).toBe(
            true,
          );
        }
      }),
    );
  });

  it('make one request of equal prompts that fit', () => {
    const request = (candidate: string) =>
      toRequest({ prompt: { type: 'text', text: 'why' }, candidates: [candidate] });
    const merged = mergeEqual(
      ['a', 'b', 'c'].map((text) => toParcel(request(text))),
      8,
    );
    expect(merged.map(({ request: { candidates } }) => candidates)).toEqual([['a', 'b', 'c']]);
  });

  it('give a failed request’s error to all of its parcels', () => {
    const one = toParcel(toRequest({ prompt: { type: 'text', text: '' }, candidates: ['a'] }));
    const error = invalidArgument('text', 'EMPTY_PROMPT', 'empty');
    const [merged] = mergeEqual([one, { ...one }], 8);
    if (merged === undefined) throw new Error('nothing');
    expect(splitOutcome(merged, { type: 'error', error }).map(([, outcome]) => outcome)).toEqual([
      { type: 'error', error },
      { type: 'error', error },
    ]);
  });
});
