import { ggufOf } from '../model/gguf';
import { halfBillionBase } from '../model/random-base';
import type { Divisible } from '../parts';
import { peerPython } from '../peers/installed';
import { LlamaPeer } from '../peers/llama';
import { conversations, expertNames, totalTokens, type CaseTokens } from './work';

/** The type of weights that llama.cpp passes long sequences fastest with. */
const TYPE = 'q8_0';
const MODEL = 'base';

/** llama.cpp's ways to score with K experts, by name; null where it is not installed. */
export const LLAMA_WAYS = [`llama.cpp ${TYPE}, prefix cache`, `llama.cpp ${TYPE}`] as const;

/** Starts llama.cpp with a context per adapter (PEFT folders by name); null if it is not installed. */
export async function startLlama(
  adapters: Readonly<Record<string, string>>,
  contextTokens: number,
  threads: number,
): Promise<LlamaPeer | null> {
  // The other peer's Python writes the files.
  if (peerPython() === null) return null;
  const llama = await LlamaPeer.start(threads);
  if (llama === null) return null;
  await llama.load(MODEL, await ggufOf({ kind: 'base', path: await halfBillionBase() }, TYPE), contextTokens);
  const files: Record<string, string> = {};
  for (const [name, path] of Object.entries(adapters))
    files[name] = await ggufOf({ kind: 'adapter', path }, 'f16');
  await llama.adapt(MODEL, files, contextTokens);
  return llama;
}

/** A case in llama.cpp: each expert's context reads the prompt once and then the candidates, or both for each candidate. */
export function llamaWorks(llama: LlamaPeer, experts: number, tokens: CaseTokens): Divisible[] {
  const names = expertNames(experts);
  const { prompt, candidates } = tokens;
  const [cached, alone] = LLAMA_WAYS;
  const warmUp = async (): Promise<number> => {
    const one = { prompt, candidates: candidates.slice(0, 1) };
    return (await llama.experts(MODEL, names.slice(0, 1), one, true)) / totalTokens(conversations(one));
  };
  return [
    {
      name: cached,
      unit: 'experts',
      parts: experts,
      tokensPerPart: prompt.length + totalTokens(candidates),
      warmUp,
      run: (count) => llama.experts(MODEL, names.slice(0, count), tokens, true),
    },
    {
      name: alone,
      unit: 'conversations',
      parts: experts * candidates.length,
      tokensPerPart: totalTokens(conversations(tokens)) / candidates.length,
      warmUp,
      run: async (count) => {
        const whole = Math.floor(count / candidates.length);
        const rest = { prompt, candidates: candidates.slice(0, count % candidates.length) };
        const seconds = await llama.experts(MODEL, names.slice(0, whole), tokens, false);
        return seconds + (await llama.experts(MODEL, names.slice(whole, whole + 1), rest, false));
      },
    },
  ];
}
