/** AdamW (arXiv 1711.05101), betas 0.9 and 0.95. */
export class AdamW {
  private readonly m: Float64Array;
  private readonly v: Float64Array;
  private t = 0;

  constructor(
    private readonly x: Float64Array,
    private readonly options: { readonly learningRate: number; readonly weightDecay: number },
  ) {
    this.m = new Float64Array(x.length);
    this.v = new Float64Array(x.length);
  }

  step(gradient: Float64Array): void {
    const { learningRate, weightDecay } = this.options;
    this.t++;
    const c1 = 1 - 0.9 ** this.t;
    const c2 = 1 - 0.95 ** this.t;
    for (let i = 0; i < this.x.length; i++) {
      const g = gradient[i] ?? 0;
      const m = (this.m[i] = 0.9 * (this.m[i] ?? 0) + 0.1 * g);
      const v = (this.v[i] = 0.95 * (this.v[i] ?? 0) + 0.05 * g * g);
      const x = this.x[i] ?? 0;
      this.x[i] = x - learningRate * (m / c1 / (Math.sqrt(v / c2) + 1e-8) + weightDecay * x);
    }
  }
}
