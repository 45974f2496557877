import { createRandom, normal } from '@dmoerm/core';
import type { Judgement } from '../pairs/judge';
import { calibrateArm, fitTemperatures } from './arm-calibration';
import { calibrate } from './margins';
import { expectedCalibrationError, reliability } from './reliability';
import { fitTemperature, softplus } from './temperature';

it('the loss stays finite at margins of 10,000', () => {
  expect(softplus(10_000)).toBe(10_000);
  expect(softplus(-10_000)).toBe(0);
});

it('temperature: margins twice as large need one twice as high', () => {
  const random = createRandom(6);
  const margins = Array.from({ length: 400 }, () => normal(random) + 0.7);
  expect(fitTemperature(margins.map((m) => 2 * m)) / fitTemperature(margins)).toBeCloseTo(2, 2);
});

describe('reliability', () => {
  const predictions = Array.from({ length: 47 }, (_, i) => ({ confidence: i / 47, outcome: i % 2 }));

  it('cuts bins of equal mass in the order of confidence, and loses none', () => {
    const bins = reliability(predictions);
    expect(bins).toHaveLength(15);
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(47);
    expect(new Set(bins.map(({ count }) => count))).toEqual(new Set([3, 4]));
    expect(bins.map(({ confidence }) => confidence)).toEqual(
      bins.map(({ confidence }) => confidence).sort((a, b) => a - b),
    );
  });

  it('ECE is the mean distance of accuracy and confidence over the bins', () => {
    const two = [
      { confidence: 0.6, outcome: 1 },
      { confidence: 0.6, outcome: 0 },
      { confidence: 0.9, outcome: 1 },
      { confidence: 0.9, outcome: 1 },
    ];
    expect(expectedCalibrationError(reliability(two, 2))).toBeCloseTo((0.1 + 0.1) / 2, 12);
    expect(expectedCalibrationError([])).toBeNaN();
  });
});

describe('calibrate', () => {
  it('knows the figures of a coin: Brier 1/4, NLL log 2, an exact tie is half right', () => {
    const { brier, nll, ece } = calibrate([0, 0, 0]);
    expect([brier, nll, ece]).toEqual([0.25, Math.log(2), 0]);
  });

  it('is small for labels that follow the probabilities, and not for margins twice as large', () => {
    const random = createRandom(3);
    const margins = Array.from({ length: 20_000 }, () => {
      const margin = Math.abs(normal(random));
      return random() < 1 / (1 + Math.exp(-margin)) ? margin : -margin;
    });
    const honest = calibrate(margins);
    expect(honest.ece).toBeLessThan(0.02);
    expect(calibrate(margins.map((margin) => 3 * margin)).ece).toBeGreaterThan(0.08);
    expect(honest.nll).toBeLessThan(calibrate(margins.map((margin) => 3 * margin)).nll);
    expect(fitTemperature(margins)).toBeCloseTo(1, 1);
  });
});

it('tasks with few pairs share a temperature; pairs without a margin count nowhere', () => {
  const judgement = (task: string, margin: number): Judgement => ({
    ...{ margin, chosen: margin, rejected: 0, task, truncated: false, degraded: false },
    failure: Number.isNaN(margin) ? 'TOO_LONG' : null,
  });
  const many = Array.from({ length: 60 }, (_, i) => judgement('many', i % 3 === 0 ? -2 : 2));
  const own = [...many, judgement('few', 1), judgement('many', NaN)];
  const temperatures = fitTemperatures(own, ['many', 'few', 'none']);
  expect(temperatures['few']).toBe(temperatures['none']);
  expect(calibrateArm(own, temperatures, 'fitted')).toMatchObject({
    pairs: 61,
    temperature_source: 'fitted',
  });
  expect(calibrateArm(own, {}, 'fitted')).toBeNull();
});
