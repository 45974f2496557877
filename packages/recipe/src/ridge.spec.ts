import * as fc from 'fast-check';
import { fitRidge } from './ridge';
import { concatRows } from './sparse-rows';

const COLUMNS = 5;
const L = 2;
const number = fc.double({ min: -1, max: 1, noNaN: true });
const problem = fc.integer({ min: 2, max: 12 }).chain((n) =>
  fc.record({
    dense: fc.array(fc.array(number, { minLength: COLUMNS, maxLength: COLUMNS }), {
      minLength: n,
      maxLength: n,
    }),
    targets: fc.array(number, { minLength: n * L, maxLength: n * L }),
    rowWeights: fc.array(fc.double({ min: 0.3, max: 3, noNaN: true }), { minLength: n, maxLength: n }),
    ridge: fc.constantFrom(0.1, 0.5, 2),
  }),
);

/** Half the gradient of the loss, per weight and bias: 0 at the minimum. */
function gradient(
  dense: number[][],
  residual: number[][],
  weights: number[],
  ridge: number,
  at: number[],
): number {
  const [j = 0, c = 0] = at;
  const sum = dense.reduce(
    (total, row, i) => total + (weights[i] ?? 0) * (residual[i]?.[c] ?? 0) * (row[j] ?? 1),
    0,
  );
  return sum + ridge;
}

describe('fitRidge', () => {
  it('finds the minimum: no weight and no bias has a slope left', () => {
    fc.assert(
      fc.property(problem, ({ dense, targets, rowWeights, ridge }) => {
        const rows = concatRows(
          dense.map((row) => ({ indices: Int32Array.from(row.keys()), values: Float32Array.from(row) })),
        );
        const exact = dense.map((row) => row.map(Math.fround));
        const { weights, bias } = fitRidge({
          rows,
          columns: COLUMNS,
          targets: Float64Array.from(targets),
          L,
          rowWeights: Float64Array.from(rowWeights),
          ridge,
        });
        const residual = exact.map((row, i) =>
          [0, 1].map(
            (c) =>
              row.reduce((sum, value, j) => sum + value * (weights[j * L + c] ?? 0), bias[c] ?? 0) -
              (targets[i * L + c] ?? 0),
          ),
        );
        for (let c = 0; c < L; c++) {
          for (let j = 0; j < COLUMNS; j++)
            expect(
              Math.abs(gradient(exact, residual, rowWeights, ridge * (weights[j * L + c] ?? 0), [j, c])),
            ).toBeLessThan(5e-3);
          // Past the last column every row has a 1.
          expect(
            Math.abs(gradient(exact, residual, rowWeights, ridge * (bias[c] ?? 0), [COLUMNS, c])),
          ).toBeLessThan(5e-3);
        }
      }),
    );
  });
});
