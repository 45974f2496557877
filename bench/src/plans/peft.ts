import { processorFeatures } from '../machine';
import { halfBillionBase } from '../model/random-base';
import type { Divisible } from '../parts';
import { TransformersPeer } from '../peers/transformers';
import { conversations, expertNames, totalTokens, type CaseTokens } from './work';

const MODEL = 'base';
/** PyTorch multiplies bfloat16 faster than float32 where the processor has instructions for it, and far slower elsewhere. */
const BF16 = processorFeatures().some((feature) => feature === 'avx512_bf16' || feature === 'amx_bf16');

/** PEFT's ways to score with K experts, by name. */
export function peftWays(gpu: boolean): readonly [string, string] {
  const type = gpu || BF16 ? 'bf16' : 'f32';
  return [`PEFT ${type}, set_adapter loop`, `PEFT ${type}, mixed batch`];
}

/** Starts transformers with adapters (PEFT folders by name); null if it is not installed. */
export async function startPeft(
  adapters: Readonly<Record<string, string>>,
  threads: number,
  gpu: boolean,
): Promise<TransformersPeer | null> {
  const peer = await TransformersPeer.start(threads, gpu);
  await peer?.load(MODEL, await halfBillionBase(), gpu || BF16 ? 'bfloat16' : 'float32');
  await peer?.adapt(MODEL, adapters);
  return peer;
}

/** A case in PEFT: all conversations as a batch for one adapter after the other, or one batch of all pairs. */
export function peftWorks(
  peer: TransformersPeer,
  experts: number,
  tokens: CaseTokens,
  gpu: boolean,
): Divisible[] {
  const names = expertNames(experts);
  const batch = conversations(tokens);
  const [loop, mixed] = peftWays(gpu);
  const warmUp = (how: 'loop' | 'mixed') => async (): Promise<number> => {
    const one = batch.slice(0, 1);
    return (await peer.experts(how, MODEL, names.slice(0, 1), one)) / totalTokens(one);
  };
  return [
    {
      name: loop,
      unit: 'experts',
      parts: experts,
      tokensPerPart: totalTokens(batch),
      warmUp: warmUp('loop'),
      run: (count) => peer.experts('loop', MODEL, names.slice(0, count), batch),
    },
    {
      name: mixed,
      unit: 'conversations',
      parts: batch.length,
      tokensPerPart: (experts * totalTokens(batch)) / batch.length,
      warmUp: warmUp('mixed'),
      run: (count) => peer.experts('mixed', MODEL, names, batch.slice(0, count)),
    },
  ];
}
