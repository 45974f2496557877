import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { NATIVE_BENCH } from '../peak';
import { progress } from '../progress';
import { compare, judged, type BenchRecord } from '../records';

/** A line of the native bench: shares of the peak of the type's best instruction, which took its turns with the products. */
interface Line {
  readonly type: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly isa: string;
  readonly share: number;
  /** 0: oneDNN was not there when the engine was built. */
  readonly onednn_share: number;
}

/** Rows from which on a product must reach the goals. */
const LARGE = 128;

/** Products as the engine runs them, rows packed by the op before; oneDNN with weights in the layout it likes best. */
export async function benchGemm(args: readonly string[]): Promise<BenchRecord[]> {
  if (!existsSync(NATIVE_BENCH))
    throw new Error('native/build/gemm_bench is missing: npm run build -w native');
  const child = spawn(NATIVE_BENCH, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const failed = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const records: BenchRecord[] = [];
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as Line | BenchRecord;
    if ('bench' in line) {
      records.push(line);
      continue;
    }
    progress(`${line.type} ${line.M} x ${line.N} x ${line.K}`);
    records.push(...toRecords(line));
  }
  const status = await failed;
  if (status !== 0) throw new Error(`native/build/gemm_bench ended with ${status}`);
  return records;
}

function toRecords({ type, M, N, K, isa, share, onednn_share }: Line): BenchRecord[] {
  const measured = {
    bench: 'gemm',
    case: `${type} M=${M} N=${N} K=${K}`,
    parameters: { type, M, N, K, isa },
    unit: '1',
    value: share,
  };
  const large = M >= LARGE;
  return [
    judged({ ...measured, metric: 'share of peak' }, large ? { bound: 'at least', value: 0.9 } : undefined),
    compare(
      { ...measured, metric: 'beside oneDNN' },
      { peer: 'oneDNN', value: onednn_share > 0 ? onednn_share : null },
      large ? { bound: 'at least', value: 0.97 } : undefined,
    ),
  ];
}
