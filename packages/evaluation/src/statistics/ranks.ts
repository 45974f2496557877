/** Ranks from 1, equal values sharing the mean of theirs. Same order as given. */
export function midRanks(values: ArrayLike<number>): number[] {
  const order = Array.from(values, (_, i) => i).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const ranks = new Array<number>(order.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end] ?? 0] === values[order[start] ?? 0]) end++;
    for (let i = start; i < end; i++) ranks[order[i] ?? 0] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}

/** Spearman's rank correlation with mid-ranks; null where either side is constant. */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const [x, y] = [midRanks(a), midRanks(b)];
  const centre = (x.length + 1) / 2;
  let [covariance, varianceX, varianceY] = [0, 0, 0];
  x.forEach((rank, i) => {
    const [dx, dy] = [rank - centre, (y[i] ?? 0) - centre];
    covariance += dx * dy;
    varianceX += dx * dx;
    varianceY += dy * dy;
  });
  return varianceX === 0 || varianceY === 0 ? null : covariance / Math.sqrt(varianceX * varianceY);
}
