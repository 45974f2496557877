/** Sparse rows one after another: entries `starts[i]` to `starts[i + 1]` are row i. */
export interface SparseRows {
  readonly starts: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Puts rows together. */
export function concatRows(rows: readonly { indices: Int32Array; values: Float32Array }[]): SparseRows {
  const starts = new Int32Array(rows.length + 1);
  rows.forEach(({ indices }, i) => (starts[i + 1] = (starts[i] ?? 0) + indices.length));
  const indices = new Int32Array(starts[rows.length] ?? 0);
  const values = new Float32Array(indices.length);
  rows.forEach((row, i) => {
    indices.set(row.indices, starts[i]);
    values.set(row.values, starts[i]);
  });
  return { starts, indices, values };
}

/** X v: [columns, L] -> [rows, L]. */
export function multiply({ starts, indices, values }: SparseRows, v: Float64Array, L: number): Float64Array {
  const rows = starts.length - 1;
  const out = new Float64Array(rows * L);
  for (let i = 0; i < rows; i++)
    for (let e = starts[i] ?? 0; e < (starts[i + 1] ?? 0); e++) {
      const value = values[e] ?? 0;
      const at = (indices[e] ?? 0) * L;
      for (let c = 0; c < L; c++) out[i * L + c] = (out[i * L + c] ?? 0) + value * (v[at + c] ?? 0);
    }
  return out;
}

/** X' a: [rows, L] -> [columns, L]. */
export function multiplyTransposed(
  { starts, indices, values }: SparseRows,
  a: Float64Array,
  L: number,
  columns: number,
): Float64Array {
  const out = new Float64Array(columns * L);
  for (let i = 0; i + 1 < starts.length; i++)
    for (let e = starts[i] ?? 0; e < (starts[i + 1] ?? 0); e++) {
      const value = values[e] ?? 0;
      const at = (indices[e] ?? 0) * L;
      for (let c = 0; c < L; c++) out[at + c] = (out[at + c] ?? 0) + value * (a[i * L + c] ?? 0);
    }
  return out;
}
