import { openBundle } from '@dmoerm/bundle';
import { createRandom, DmoermError } from '@dmoerm/core';
import { loadModel } from '@dmoerm/model';
import type { Figure, Size } from '../figure';
import { DamagedBundle, RAW_DAMAGES, SIGNED_DAMAGES } from '../support/bundle-damage';
import { createSpecFolder } from '../support/spec-folder';

const COUNT: Readonly<Record<Size, number>> = { quick: 200, short: 1000, full: 10_000 };
/** Every so many faults the sound bundle must open again: the damage is what is refused. */
const SOUND_EVERY = 50;

/** Damages a bundle on disk in seeded ways; each must be refused with a typed error before it could serve. */
export const R9: Figure = {
  id: 'R9',
  title: 'corrupt weights',
  threshold: 'every seeded fault is refused by name before anything serves',
  measure: async (size) => {
    await using folder = await createSpecFolder();
    const bundle = new DamagedBundle(folder.bundle);
    const raw = await inject(bundle, COUNT[size], RAW_DAMAGES, false);
    const signed = await inject(bundle, Math.ceil(COUNT[size] / 4), SIGNED_DAMAGES, true);
    const missed = [...raw.missed, ...signed.missed];
    return {
      holds: missed.length === 0,
      figure:
        `${raw.count + signed.count - missed.length} of ${raw.count + signed.count} faults refused` +
        (missed.length > 0 ? `; not: ${[...new Set(missed)].join(', ')}` : ''),
    };
  },
  // Digests taken after the damage are no digests: bits flip in values that nothing else could tell from sound ones.
  control: async (size) => {
    await using folder = await createSpecFolder();
    const flips = { 'a flipped bit': RAW_DAMAGES['a flipped bit'] as (typeof RAW_DAMAGES)[string] };
    const bundle = new DamagedBundle(folder.bundle);
    const { count, missed } = await inject(bundle, Math.min(100, COUNT[size]), flips, true);
    return { holds: missed.length === 0, figure: `${missed.length} of ${count} flipped bits pass` };
  },
};

async function inject(
  bundle: DamagedBundle,
  count: number,
  damages: typeof RAW_DAMAGES,
  sign: boolean,
): Promise<{ readonly count: number; readonly missed: string[] }> {
  const random = createRandom(9);
  const pick = (limit: number): number => Math.floor(random() * limit);
  const names = Object.keys(damages);
  const missed: string[] = [];
  for (let i = 0; i < count; i++) {
    const name = names[i % names.length] ?? '';
    damages[name]?.(bundle, pick);
    if (sign) bundle.sign();
    const refused = await isRefused(bundle.folder);
    if (!refused) missed.push(name);
    bundle.repair();
    if (i % SOUND_EVERY === 0 && (await isRefused(bundle.folder)))
      throw new Error('the sound bundle is refused: the figure measures nothing');
  }
  return { count, missed };
}

/** Whether opening or loading it fails with an error that is ours; anything else is thrown on. */
async function isRefused(folder: string): Promise<boolean> {
  try {
    const opened = await openBundle(folder, { cacheDir: folder });
    await using model = await loadModel(opened, { threads: 1 });
    return model.taskNames.length === 0;
  } catch (error) {
    if (error instanceof DmoermError && error.code !== 'INTERNAL') return true;
    throw error;
  }
}
