// llama.cpp through node-llama-cpp as a peer.
//
// Usage: llama.mjs FOLDER THREADS, then JSON lines:
//   {op: "load", model, path, contextTokens}          a GGUF file and one context without adapter
//   {op: "adapt", model, adapters, contextTokens}     one context per adapter of {name: file}: adapters belong to a context
//   {op: "prefill", model, tokens, repeats}           one sequence -> {seconds: [...]}
//   {op: "experts", model, adapters, prompt, candidates, prefixCache}
//       each adapter's context reads prompt + candidate for each candidate; with the prefix cache the prompt once -> {seconds}
//   {op: "generate", model, path, prompt, samples, newTokens}
//       as many sequences of one context read the prompt and sample tokens at temperature 1, the first time after loading -> {seconds}
// Only "generate" makes passes over the vocabulary.
import { pathToFileURL } from 'node:url';
import { serve, timed } from './json-lines.mjs';

const [folder, threads] = [process.argv[2], Number(process.argv[3])];
const module = pathToFileURL(`${folder}/node_modules/node-llama-cpp/dist/index.js`);
const { getLlama, getModuleVersion } = await import(module);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: threads,
  logLevel: 'error',
  logger: (_, message) => process.stderr.write(`${message}\n`),
});

/** name -> model; `model` and `model/adapter` -> sequence. */
const models = new Map();
const sequences = new Map();

async function openSequence(model, contextTokens, lora) {
  const context = await models.get(model).createContext({
    contextSize: contextTokens,
    batchSize: 512,
    threads,
    sequences: 1,
    ...(lora === undefined ? {} : { lora: { adapters: [{ filePath: lora, scale: 1 }] } }),
  });
  return context.getSequence();
}

async function read(sequence, tokens) {
  await sequence.evaluateWithoutGeneratingNewTokens(tokens);
}

async function readAlone(sequence, tokens) {
  await sequence.clearHistory();
  await read(sequence, tokens);
}

async function readCandidates(sequence, { prompt, candidates, prefixCache }) {
  if (!prefixCache) {
    for (const candidate of candidates) await readAlone(sequence, [...prompt, ...candidate]);
    return;
  }
  await readAlone(sequence, prompt);
  for (const candidate of candidates) {
    await sequence.eraseContextTokenRanges([{ start: prompt.length, end: sequence.nextTokenIndex }]);
    await read(sequence, candidate);
  }
}

await serve(`${await getModuleVersion()} (llama.cpp ${llama.llamaCppRelease.release})`, {
  async load({ model, path, contextTokens }) {
    models.set(model, await llama.loadModel({ modelPath: path, gpuLayers: 0 }));
    sequences.set(model, await openSequence(model, contextTokens));
    return {};
  },
  async adapt({ model, adapters, contextTokens }) {
    for (const [name, file] of Object.entries(adapters))
      sequences.set(`${model}/${name}`, await openSequence(model, contextTokens, file));
    return {};
  },
  async prefill({ model, tokens, repeats }) {
    const seconds = [];
    for (let i = 0; i < repeats; i++)
      seconds.push(await timed(() => readAlone(sequences.get(model), tokens)));
    return { seconds };
  },
  async generate({ model, path, prompt, samples, newTokens }) {
    if (!models.has(model)) models.set(model, await llama.loadModel({ modelPath: path, gpuLayers: 0 }));
    const context = await models.get(model).createContext({
      contextSize: prompt.length + newTokens + 8,
      batchSize: 512,
      threads,
      sequences: samples,
    });
    const own = Array.from({ length: samples }, () => context.getSequence());
    const continued = async (sequence) => {
      let count = 0;
      for await (const _ of sequence.evaluate(prompt, { temperature: 1, yieldEogToken: true }))
        if (++count === newTokens) break;
    };
    const seconds = await timed(() => Promise.all(own.map(continued)));
    await context.dispose();
    return { seconds };
  },
  async experts({ model, adapters, ...work }) {
    const all = async () => {
      for (const name of adapters) await readCandidates(sequences.get(`${model}/${name}`), work);
    };
    return { seconds: await timed(all) };
  },
});
