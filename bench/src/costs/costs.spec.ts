import fc from 'fast-check';
import { fitCost } from './fit';
import type { Sample } from './measure';
import { sumOf } from './metrics-page';

describe('the cost of a call', () => {
  it('is the line that the samples lie on: of candidates, and of tokens for an expert', () => {
    const us = fc.integer({ min: 1, max: 10_000 });
    fc.assert(
      fc.property(us, us, (perCall, perUnit) => {
        const samples = [1, 4, 16].map((candidates): Sample => {
          const calls = 100;
          const seconds = (units: number): number => (calls * (perCall + perUnit * units)) / 1e6;
          const tokens = calls * (50 + 30 * candidates);
          return {
            candidates,
            calls,
            tokens,
            cpuSeconds: {
              caller: 0,
              aggregator: 0,
              router: seconds(candidates),
              expert: seconds(tokens / calls),
            },
            memoryBytes: { router: 0, expert: 0, aggregator: 0 },
            latencyMs: { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 },
          };
        });
        for (const part of ['router', 'expert'] as const) {
          const cost = fitCost(samples, part);
          expect(cost.perCall / perCall).toBeCloseTo(1, 3);
          expect(cost.perUnit / perUnit).toBeCloseTo(1, 3);
          expect(cost.farthest).toBeLessThan(1e-6);
        }
        expect(fitCost(samples, 'expert').unit).toBe('token');
      }),
    );
  });
});

it('a metric is the sum of its series, whatever their labels, and none that is not there', () => {
  const page = [
    '# TYPE dmoerm_batch_tokens histogram',
    'dmoerm_batch_tokens_sum{task="chat",service="expert"} 120',
    'dmoerm_batch_tokens_sum{task="qa",service="expert"} 30.5',
    'dmoerm_batch_tokens_sum_total 7',
    'process_cpu_seconds_total 1e-3',
  ].join('\n');
  expect(sumOf(page, 'dmoerm_batch_tokens_sum')).toBe(150.5);
  expect(sumOf(page, 'process_cpu_seconds_total')).toBe(0.001);
  expect(sumOf(page, 'dmoerm_batch')).toBeNull();
});
