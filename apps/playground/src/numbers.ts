const signed = new Intl.NumberFormat('en', {
  signDisplay: 'exceptZero',
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const plain = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat('en', { style: 'percent' });
const count = new Intl.NumberFormat('en');

/** `+0.51` */
export const toSigned = (value: number): string => signed.format(value);
/** `0.05` */
export const toPlain = (value: number): string => plain.format(value);
/** `96%` */
export const toPercent = (share: number): string => percent.format(share);
/** `1,024` */
export const toCount = (value: number): string => count.format(value);
/** Nanoseconds as `12.3 ms`. */
export const toMs = (ns: number): string => `${(ns / 1e6).toFixed(1)} ms`;
/** A name without underscores. */
export const toWords = (name: string): string => name.replaceAll('_', ' ');
