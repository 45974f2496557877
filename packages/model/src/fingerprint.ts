import { createHash } from 'node:crypto';
import type { Model } from './model';

/**
 * Digest of the embeddings of made-up tokens, 64 hexadecimal digits: what was computed elsewhere has the same bits only if its
 * kernels give the same ones. Long enough for every step of attention.
 */
export async function fingerprint(model: Model): Promise<string> {
  const [task = ''] = model.taskNames;
  const words = Array.from({ length: 300 }, (_, i) => ['red', 'seven', 'house', 'the', 'runs'][(i * i) % 5]);
  const item = model.prepare(task, {
    prompt: { type: 'conversation', messages: [{ role: 'user', content: words.join(' ') }] },
    candidates: [words.slice(7, 40).join(' '), 'No.'],
    truncation: 'reject',
  });
  const { items } = await model.evaluate([item]);
  const hash = createHash('sha256');
  for (const output of items.flat()) if (output.type === 'outputs') hash.update(output.embeddings);
  return hash.digest('hex');
}
