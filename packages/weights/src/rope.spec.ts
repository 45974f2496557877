import { ropeFrequencies, yarnMagnitude, type RopeScaling } from './rope';

interface Oracle {
  readonly name: string;
  readonly headDim: number;
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** What transformers computes: some frequencies by their index, and the factor on cosines and sines. */
  readonly frequencies: Readonly<Record<number, number>>;
  readonly ropeScale: number;
}

const ORACLES: readonly Oracle[] = [
  {
    name: 'default, heads of 64',
    headDim: 64,
    theta: 100000,
    scaling: { type: 'default' },
    frequencies: {
      1: 0.6978305578231812,
      8: 0.05623412877321243,
      10: 0.0273841954767704,
      16: 0.003162277862429619,
      21: 0.0005232990952208638,
      31: 1.4330126759887207e-5,
    },
    ropeScale: 1.0,
  },
  {
    name: 'linear, heads of 64',
    headDim: 64,
    theta: 10000,
    scaling: { type: 'linear', factor: 4 },
    frequencies: {
      1: 0.18747355043888092,
      8: 0.02500000037252903,
      10: 0.014058532193303108,
      16: 0.0024999999441206455,
      21: 0.0005928434547968209,
      31: 3.333803761051968e-5,
    },
    ropeScale: 1.0,
  },
  {
    name: 'llama3, heads of 128',
    headDim: 128,
    theta: 500000,
    scaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
    frequencies: {
      1: 0.8146172165870667,
      16: 0.03760603070259094,
      21: 0.013490419834852219,
      32: 0.0005248460220173001,
      42: 2.2748929040972143e-5,
      63: 3.068925877869333e-7,
    },
    ropeScale: 1.0,
  },
  {
    name: 'llama3, heads of 64',
    headDim: 64,
    theta: 500000,
    scaling: { type: 'llama3', factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
    frequencies: {
      1: 0.663601279258728,
      8: 0.03760603070259094,
      10: 0.016560440883040428,
      16: 0.000429556705057621,
      21: 5.687232260243036e-6,
      31: 9.418306490260875e-8,
    },
    ropeScale: 1.0,
  },
  {
    name: 'yarn, heads of 128',
    headDim: 128,
    theta: 1000000,
    scaling: {
      type: 'yarn',
      factor: 4,
      originalMaxPositions: 32768,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: null,
      truncate: true,
    },
    frequencies: {
      1: 0.8058422207832336,
      16: 0.03162277862429619,
      21: 0.010746078565716743,
      32: 0.0006029411451891065,
      42: 2.8869548259535804e-5,
      63: 3.102344408034696e-7,
    },
    ropeScale: 1.138629436111989,
  },
  {
    name: 'yarn attention, heads of 64',
    headDim: 64,
    theta: 10000,
    scaling: {
      type: 'yarn',
      factor: 8,
      originalMaxPositions: 4096,
      betaFast: 16,
      betaSlow: 2,
      attentionFactor: 0.9,
      truncate: true,
    },
    frequencies: {
      1: 0.7498942017555237,
      8: 0.10000000149011612,
      10: 0.05623412877321243,
      16: 0.0061111110262572765,
      21: 0.00029642172739841044,
      31: 1.666901880525984e-5,
    },
    ropeScale: 0.9,
  },
  {
    name: 'yarn mscale untruncated, heads of 64',
    headDim: 64,
    theta: 10000,
    scaling: {
      type: 'yarn',
      factor: 40,
      originalMaxPositions: 4096,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: yarnMagnitude(40, 1) / yarnMagnitude(40, 0.5),
      truncate: false,
    },
    frequencies: {
      1: 0.7498942017555237,
      8: 0.10000000149011612,
      10: 0.05623412877321243,
      16: 0.005524062551558018,
      21: 0.0003498873848002404,
      31: 3.3338035336782923e-6,
    },
    ropeScale: 1.1557219901962608,
  },
];

describe('ropeFrequencies', () => {
  it.each(ORACLES)(
    'equals transformers bit for bit: $name',
    ({ headDim, theta, scaling, frequencies, ropeScale }) => {
      const rope = ropeFrequencies(headDim, theta, scaling);
      expect(rope.ropeScale).toBe(ropeScale);
      expect(rope.inverseFrequencies).toHaveLength(headDim / 2);
      for (const [index, frequency] of Object.entries(frequencies))
        expect(rope.inverseFrequencies[Number(index)]).toBe(frequency);
    },
  );
});
