/** How a model stretches RoPE beyond the context that it was first trained with. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      /** Tokens. */
      readonly originalMaxPositions: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      /** Tokens. */
      readonly originalMaxPositions: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Factor on cosines and sines; null: 0.1 ln(factor) + 1. */
      readonly attentionFactor: number | null;
      /** Whether the ends of the ramp are rounded outwards to whole dimensions. */
      readonly truncate: boolean;
    };

/** RoPE of one model. */
export interface RopeFrequencies {
  /** [headDim / 2], radians per position. */
  readonly inverseFrequencies: readonly number[];
  readonly ropeScale: number;
}

/**
 * Inverse frequencies as transformers computes them, every step rounded to float32: at position 8,000 a last-bit difference in a
 * frequency is already a visible difference in the angle.
 */
export function ropeFrequencies(headDim: number, theta: number, scaling: RopeScaling): RopeFrequencies {
  const f = Math.fround;
  const wavelengths = Array.from({ length: headDim / 2 }, (_, i) => f(theta ** f(f(2 * i) / f(headDim))));
  const plain = wavelengths.map((wavelength) => f(1 / wavelength));
  switch (scaling.type) {
    case 'default':
      return { inverseFrequencies: plain, ropeScale: 1 };
    case 'linear':
      return { inverseFrequencies: plain.map((frequency) => f(frequency / f(scaling.factor))), ropeScale: 1 };
    case 'llama3':
      return { inverseFrequencies: plain.map((frequency) => llama3(frequency, scaling)), ropeScale: 1 };
    case 'yarn':
      return {
        inverseFrequencies: yarn(wavelengths, headDim, theta, scaling),
        ropeScale: scaling.attentionFactor ?? yarnMagnitude(scaling.factor, 1),
      };
  }
}

/** YaRN's factor on attention magnitudes for a context stretched by `factor`. */
export function yarnMagnitude(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/** Long waves are slowed by `factor`, short ones kept, those between interpolated. */
function llama3(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const f = Math.fround;
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositions } = scaling;
  const wavelength = f(f(2 * Math.PI) / frequency);
  if (wavelength > originalMaxPositions / low) return f(frequency / f(factor));
  if (wavelength < originalMaxPositions / high) return frequency;
  const smooth = f(f(f(originalMaxPositions / wavelength) - low) / f(high - low));
  return f(f(f(f(1 - smooth) * frequency) / f(factor)) + f(smooth * frequency));
}

/** Dimensions that turn often within the original context are kept, those that turn rarely slowed, with a ramp between. */
function yarn(
  wavelengths: readonly number[],
  headDim: number,
  theta: number,
  scaling: Extract<RopeScaling, { type: 'yarn' }>,
): number[] {
  const f = Math.fround;
  const dimensionOf = (rotations: number): number =>
    (headDim * Math.log(scaling.originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const round = scaling.truncate ? { down: Math.floor, up: Math.ceil } : { down: Number, up: Number };
  const low = Math.max(round.down(dimensionOf(scaling.betaFast)), 0);
  const end = Math.min(round.up(dimensionOf(scaling.betaSlow)), headDim - 1);
  const high = end === low ? end + 0.001 : end;
  return wavelengths.map((wavelength, i) => {
    const slowed = Math.min(1, Math.max(0, f(f(i - f(low)) / f(high - low))));
    const kept = f(1 - slowed);
    const interpolation = f(1 / f(f(scaling.factor) * wavelength));
    const extrapolation = f(1 / wavelength);
    return f(f(interpolation * f(1 - kept)) + f(extrapolation * kept));
  });
}
