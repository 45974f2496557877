import fc from 'fast-check';
import { chooseTasks, forceTask } from './gate';

const LABELS = ['chat', 'qa', 'poem'];
const FALLBACK = { task: 'chat', threshold: 0.5 };
const none = { type: 'top_1' } as const;

describe('chooseTasks', () => {
  it('takes the most probable task', () => {
    const decision = chooseTasks(LABELS, [0.1, 0.7, 0.2], none, FALLBACK);
    expect(decision.assignments).toEqual([{ task: 'qa', weight: 1 }]);
    expect(decision.fallback).toBe(false);
    expect(decision.distribution.map(({ task }) => task)).toEqual(['qa', 'poem', 'chat']);
  });

  it('takes the fallback task below the threshold and says so', () => {
    const decision = chooseTasks(LABELS, [0.2, 0.49, 0.31], none, FALLBACK);
    expect(decision.assignments).toEqual([{ task: 'chat', weight: 1 }]);
    expect(decision.fallback).toBe(true);
  });

  it('takes the most probable task at the threshold itself', () => {
    expect(chooseTasks(LABELS, [0.25, 0.5, 0.25], none, FALLBACK).fallback).toBe(false);
  });

  it('keeps the bundle order between equally probable tasks', () => {
    const order = chooseTasks(LABELS, [0.25, 0.25, 0.5], none, FALLBACK).distribution;
    expect(order.map(({ task }) => task)).toEqual(['poem', 'chat', 'qa']);
  });

  it('shares an item between the two most probable tasks with soft routing', () => {
    const { assignments } = chooseTasks(LABELS, [0.6, 0.1, 0.3], { type: 'soft' }, FALLBACK);
    expect(assignments.map(({ task }) => task)).toEqual(['chat', 'poem']);
    expect(assignments.map(({ weight }) => weight)).toEqual(
      [0.6 / 0.9, 0.3 / 0.9].map((w) => expect.closeTo(w, 12)),
    );
  });

  it('gives a certain item to one task alone, soft routing or not', () => {
    const { assignments } = chooseTasks(LABELS, [0, 1, 0], { type: 'soft' }, FALLBACK);
    expect(assignments).toEqual([{ task: 'qa', weight: 1 }]);
  });

  it.each([
    ['NaN', [NaN, 0.5, 0.5]],
    ['infinity', [Infinity, 0, 0]],
    ['a negative number', [-0.5, 1, 0.5]],
    ['no distribution', [0.9, 0.9, 0.9]],
    ['too few numbers', [0.5, 0.5]],
  ])('refuses %s from the classifier', (_, probabilities) => {
    expect(() => chooseTasks(LABELS, probabilities, none, FALLBACK)).toThrow(
      expect.objectContaining({ code: 'INTERNAL', reason: 'NON_FINITE' }),
    );
  });

  it('always gives weights that sum to 1', () => {
    const weights = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(weights, fc.constantFrom(none, { type: 'soft' } as const), (raw, routing) => {
        const total = raw.reduce((a, b) => a + b, 0);
        const labels = raw.map((_, i) => `t${i}`);
        const fallback = { task: 't0', threshold: 0.4 };
        const decision = chooseTasks(
          labels,
          raw.map((p) => p / total),
          routing,
          fallback,
        );
        expect(decision.assignments.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
        expect(decision.distribution).toHaveLength(labels.length);
      }),
    );
  });
});

describe('forceTask', () => {
  it('takes the named task with probability 1', () => {
    const decision = forceTask(LABELS, 'poem');
    expect(decision.assignments).toEqual([{ task: 'poem', weight: 1 }]);
    expect(decision.distribution[0]).toEqual({ task: 'poem', probability: 1 });
  });

  it('refuses a task that the model does not have', () => {
    expect(() => forceTask(LABELS, 'maths')).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', reason: 'UNKNOWN_TASK', field: 'options.task' }),
    );
  });
});
