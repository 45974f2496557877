import fc from 'fast-check';
import { createComparison, mergeComparisons, opposite, type Preference } from './comparison';
import type { Decision } from './decide';
import { filterLabel, preferenceOf } from './filter';
import { createPlan } from './plan';
import { ASK, comparisonOf } from './spec-support/fixtures';

const verdict = fc.constantFrom('1', '2', 'tie').map((one): Decision => ({ type: 'verdict', verdict: one }));
const dropped = fc
  .constantFrom('refused', 'truncated', 'unparsable')
  .map((reason): Decision => ({ type: 'dropped', reason }));
const decision = fc.oneof(verdict, dropped, fc.constant<Decision>({ type: 'ask', step: 'first' }));
const say = (one: '1' | '2' | 'tie'): Decision => ({ type: 'verdict', verdict: one });

it.each([
  ['1', '2', { type: 'kept', winner: 'first' }],
  ['2', '1', { type: 'kept', winner: 'second' }],
  ['tie', 'tie', { type: 'tie' }],
  ['1', '1', { type: 'dropped', reason: 'inconsistent' }],
  ['2', '2', { type: 'dropped', reason: 'inconsistent' }],
  ['1', 'tie', { type: 'dropped', reason: 'inconsistent' }],
  ['tie', '2', { type: 'dropped', reason: 'inconsistent' }],
] as const)('%s, swapped %s', (forward, swapped, label) => {
  expect(filterLabel(say(forward), say(swapped))).toEqual(label);
});

it('keeps a winner only where both orders name the same response', () => {
  fc.assert(
    fc.property(decision, decision, (forward, swapped) => {
      const label = filterLabel(forward, swapped);
      const same =
        forward.type === 'verdict' &&
        swapped.type === 'verdict' &&
        forward.verdict !== 'tie' &&
        preferenceOf(forward.verdict, 'forward') === preferenceOf(swapped.verdict, 'swapped');
      expect(label.type === 'kept').toBe(same);
    }),
  );
});

it('labels nothing that a labeller says of positions instead of responses', () => {
  fc.assert(
    fc.property(fc.constantFrom('1', '2'), (always) => {
      expect(filterLabel(say(always), say(always)).type).toBe('dropped');
      // One order alone would have been taken for a label.
      expect(preferenceOf(always, 'forward')).not.toBe('tie');
    }),
  );
});

it('never makes a label of what was refused, cut or unclear', () => {
  fc.assert(
    fc.property(dropped, fc.oneof(verdict, dropped), (one, other) => {
      expect(filterLabel(one, other).type).toBe('dropped');
      expect(filterLabel(other, one)).toEqual(filterLabel(one, other));
    }),
  );
});

describe('comparisons', () => {
  const text = fc.string({ minLength: 1 });
  it('are the same whatever the order of the input, with the human label turned along', () => {
    fc.assert(
      fc.property(text, text, fc.constantFrom<Preference>('first', 'second', 'tie'), (a, b, human) => {
        fc.pre(a !== b);
        const base = comparisonOf(1);
        const one = createComparison({ ...base, responses: [a, b] }, human);
        const other = createComparison({ ...base, responses: [b, a] }, opposite(human));
        expect(other).toEqual(one);
      }),
    );
  });

  it('put chosen responses on both sides', () => {
    const sides = Array.from({ length: 40 }, (_, i) => comparisonOf(i, 'first').humans[0]);
    expect(sides.filter((side) => side === 'first').length).toBeGreaterThan(8);
    expect(sides.filter((side) => side === 'second').length).toBeGreaterThan(8);
  });

  it('with the same key become one, with all their human labels', () => {
    const merged = mergeComparisons([comparisonOf(1, 'first'), comparisonOf(2), comparisonOf(1, 'tie')]);
    expect(merged).toHaveLength(2);
    expect(merged[0]?.humans).toHaveLength(2);
  });
});

describe('questions', () => {
  const keys = (changes: Partial<typeof ASK> = {}, comparison = comparisonOf(1)): string[] =>
    createPlan([comparison], { ...ASK, ...changes }, { repeatShare: 1 }).questions.map(({ key }) => key);

  it('differ by order and repetition, and are the same in every run', () => {
    expect(new Set(keys()).size).toBe(3);
    expect(keys()).toEqual(keys());
  });

  it('are new ones when anything changes that the answer depends on', () => {
    const base = comparisonOf(1);
    const changed = [
      keys({ model: 'other' }),
      keys({ maxTokens: 33 }),
      keys({ rationale: true }),
      keys({ structured: false }),
      keys({ extra: { seed: 1 } }),
      keys({}, { ...base, capability: { name: 'logic', definition: 'Other.' } }),
      keys({}, { ...base, messages: [{ role: 'user', content: 'Other' }] }),
      keys({}, { ...base, responses: ['answer 2', 'other'] }),
    ];
    expect(new Set([keys(), ...changed].flat()).size).toBe(3 * 9);
  });

  it('do not depend on where a pair comes from', () => {
    expect(keys({}, { ...comparisonOf(1), promptId: 'q', source: 'elsewhere', split: 'test' })).toEqual(
      keys(),
    );
  });
});
