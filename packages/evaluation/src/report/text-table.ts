/** Rows of cells as lines, columns padded to their widest cell. */
export function textTable(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, c) => Math.max(...rows.map((row) => row[c]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((text, c) => text.padEnd(widths[c] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** A share with its interval, `.623 [.598, .649]`; `-` without one. */
export function shareCell(figure: {
  readonly value: number | null;
  readonly interval: readonly [number, number] | null;
}): string {
  const { value, interval } = figure;
  if (value === null) return '-';
  return interval === null ? share(value) : `${share(value)} [${interval.map(share).join(', ')}]`;
}

/** Three digits; the leading zero is left out. */
export function share(value: number | null): string {
  if (value === null || Number.isNaN(value)) return '-';
  return value.toFixed(3).replace(/^(-?)0\./, '$1.');
}
