import { join } from 'node:path';
import type { LoraShape } from '@dmoerm/engine';
import { readUnit, unitFolder, writeUnit, type Run } from '@dmoerm/recipe';
import { openAdapter, readTensorF32, type LoraValues } from '@dmoerm/weights';

/**
 * Makes the experts of a run from those of others of the same shape: the mean of their adapters' products and of their heads (WARM, arXiv
 * 2401.12187). The adapters lie side by side, A = [A_1; ...; A_M], B = [B_1 ... B_M] / M: the rank is M times theirs, and nothing is lost.
 * @param folders of the other runs, all trained
 */
export async function averageWeights(run: Run, folders: readonly string[]): Promise<void> {
  const base = { config: run.base.config, name: run.reference.name, type: 'F32' as const };
  for (const unit of run.units) {
    const own = unitFolder(run, unit);
    if ((await readUnit(own)) !== null) continue;
    const others = folders.map((folder) => own.replace(run.options.folder, folder));
    const units = await Promise.all(others.map(readUnit));
    const heads = units.flatMap((one) => (one === null ? [] : [one.head]));
    const [first] = units;
    if (first === null || first === undefined || heads.length < folders.length)
      throw new Error(`${own}: not all of ${folders.join(', ')} are trained`);
    const weight = meanOf(heads.map((head) => head.weight));
    const [bias = 0] = meanOf(heads.map((head) => Float32Array.of(head.bias)));
    const modules = await joinAdapters(
      others.map((folder) => join(folder, 'adapter')),
      run,
    );
    await writeUnit(own, { modules, head: { weight, bias } }, [], base, { ...first.result, steps: 0 });
  }
}

async function joinAdapters(folders: readonly string[], run: Run): Promise<LoraValues[]> {
  const adapters = await Promise.all(folders.map((folder) => openAdapter(folder, run.base.config)));
  const [first] = adapters;
  return Promise.all(
    (first?.modules ?? []).map(async ({ layer, target, rank, scale }): Promise<LoraValues> => {
      const shape: LoraShape = { layer, target, rank: rank * adapters.length, scale };
      const parts = await Promise.all(
        adapters.map(async ({ modules }) => {
          const same = modules.find((one) => one.layer === layer && one.target === target);
          if (same?.rank !== rank || same.scale !== scale)
            throw new Error(`layer ${layer}, ${target}: the adapters have other shapes`);
          return { a: await readTensorF32(same.a), b: await readTensorF32(same.b) };
        }),
      );
      const a = concat(parts.map((part) => part.a));
      // Rows of B come one after another: each is the parts' rows side by side.
      const rows = (parts[0]?.b.length ?? 0) / rank;
      const b = new Float32Array(rows * shape.rank);
      for (const [m, part] of parts.entries())
        for (let row = 0; row < rows; row++)
          for (let r = 0; r < rank; r++)
            b[row * shape.rank + m * rank + r] = (part.b[row * rank + r] ?? NaN) / parts.length;
      return { ...shape, a, b };
    }),
  );
}

function meanOf(rows: readonly Float32Array[]): Float32Array {
  return Float32Array.from(rows[0] ?? [], (_, i) =>
    rows.reduce((sum, row) => sum + (row[i] ?? NaN) / rows.length, 0),
  );
}

function concat(parts: readonly Float32Array[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...part]));
}
