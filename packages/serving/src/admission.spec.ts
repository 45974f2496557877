import { Admission } from './admission';

const LIMITS = { maxInFlightItems: 10, maxInFlightBytes: 100 };
const FULL = expect.objectContaining({
  code: 'RESOURCE_EXHAUSTED',
  reason: 'QUEUE_FULL',
  retryAfterMs: expect.any(Number),
});

describe('Admission', () => {
  it.each([
    ['items', 5, 1],
    ['bytes', 1, 50],
  ])('refuses what exceeds the %s in flight until some are answered', (_, items, bytes) => {
    const admission = new Admission(LIMITS);
    const first = admission.admit(items, bytes);
    const second = admission.admit(items, bytes);
    expect(() => admission.admit(items, bytes)).toThrow(FULL);
    first[Symbol.dispose]();
    const third = admission.admit(items, bytes);
    expect(() => admission.admit(items, bytes)).toThrow(FULL);
    for (const permit of [second, third]) permit[Symbol.dispose]();
  });

  it('gives a permit back only once', () => {
    const admission = new Admission(LIMITS);
    const permit = admission.admit(6, 1);
    admission.admit(4, 1);
    permit[Symbol.dispose]();
    permit[Symbol.dispose]();
    admission.admit(6, 1);
    expect(() => admission.admit(1, 1)).toThrow(FULL);
  });

  it('lets in what is larger than the limits when nothing else is in flight', () => {
    const admission = new Admission(LIMITS);
    const permit = admission.admit(1, 1000);
    expect(() => admission.admit(1, 1)).toThrow(FULL);
    permit[Symbol.dispose]();
    admission.admit(1, 1);
  });

  it('keeps a share for a second caller as soon as it asks, and gives it back when it has gone', () => {
    jest.useFakeTimers({ now: 0 });
    const admission = new Admission(LIMITS);
    const greedy = Array.from({ length: 10 }, () => admission.admit(1, 1, 'greedy'));
    expect(() => admission.admit(1, 1, 'modest')).toThrow(FULL);
    greedy.slice(0, 3).forEach((permit) => permit[Symbol.dispose]());
    expect(() => admission.admit(1, 1, 'greedy')).toThrow(FULL);
    const modest = admission.admit(3, 1, 'modest');
    modest[Symbol.dispose]();
    jest.advanceTimersByTime(10_000);
    admission.admit(3, 1, 'greedy');
    jest.useRealTimers();
  });
});
