/** How a folder writes its scales: alpha / rank, or with rslora alpha / sqrt(rank). */
export type ScaleForm = 'plain' | 'rslora';

/** The scale that PEFT and our reader make of an alpha. */
export function scaleOf(alpha: number, rank: number, form: ScaleForm): number {
  return alpha / (form === 'rslora' ? Math.sqrt(rank) : rank);
}

/**
 * The alpha whose scale is `scale`: to the last bit where some double gives it, which is so for every scale that came from an alpha of
 * this form; else to the nearest one that is the same float32 number, the precision in which PEFT and the engine multiply by it.
 */
export function alphaOf(scale: number, rank: number, form: ScaleForm): { alpha: number; exact: boolean } {
  const near = scale * (form === 'rslora' ? Math.sqrt(rank) : rank);
  const tried = [near, nextTo(near, 1), nextTo(near, -1), nextTo(near, 2), nextTo(near, -2)];
  const exact = tried.find((alpha) => scaleOf(alpha, rank, form) === scale);
  if (exact !== undefined) return { alpha: exact, exact: true };
  const same = (alpha: number): boolean => Math.fround(scaleOf(alpha, rank, form)) === Math.fround(scale);
  return { alpha: tried.find(same) ?? near, exact: false };
}

/** The double `steps` after (before, if negative) a positive one. */
function nextTo(value: number, steps: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigUint64(0, view.getBigUint64(0) + BigInt(steps));
  return view.getFloat64(0);
}
