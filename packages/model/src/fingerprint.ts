import { createHash } from 'node:crypto';
import type { Model } from './model';

/** Words of the prompt: long enough for every step of attention, and less where the model takes less. */
const LENGTHS = [300, 100, 30, 10];

/**
 * Digest of the embeddings of made-up tokens, 64 hexadecimal digits: what was computed elsewhere has the same bits only if its
 * kernels give the same ones.
 */
export async function fingerprint(model: Model): Promise<string> {
  const [task = ''] = model.taskNames;
  const hash = createHash('sha256');
  for (const length of LENGTHS) {
    const words = Array.from({ length }, (_, i) => ['red', 'seven', 'house', 'the', 'runs'][(i * i) % 5]);
    const item = model.prepare(task, {
      prompt: { type: 'conversation', messages: [{ role: 'user', content: words.join(' ') }] },
      candidates: [words.slice(7, 40).join(' '), 'No.'].filter((text) => text !== ''),
      truncation: 'reject',
    });
    if (item.candidates.some(({ type }) => type === 'error')) continue;
    const { items } = await model.evaluate([item]);
    for (const output of items.flat()) if (output.type === 'outputs') hash.update(output.embeddings);
    break;
  }
  return hash.digest('hex');
}
