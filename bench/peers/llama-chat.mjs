// An OpenAI-compatible chat/completions endpoint over a GGUF file, by llama.cpp (node-llama-cpp): something for `dmoerm label` to
// ask that needs no account. One request at a time; greedy; `response_format` with a JSON schema becomes a grammar.
//
// Usage: llama-chat.mjs FOLDER MODEL.gguf [PORT] [THREADS], FOLDER as `npm run bench:peers` makes it (.tools/peers/node).
import { createServer } from 'node:http';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, path, port = '8000', threads = '2'] = process.argv.slice(2);
const module = pathToFileURL(`${folder}/node_modules/node-llama-cpp/dist/index.js`);
const { getLlama, LlamaChatSession } = await import(module);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: Number(threads),
  logLevel: 'error',
});
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
const contextSize = Math.min(model.trainContextSize, 8192);
const context = await model.createContext({ contextSize, threads: Number(threads), sequences: 1 });
const sequence = context.getSequence();

async function complete({ messages, max_tokens: maxTokens = 256, response_format: format }) {
  await sequence.clearHistory();
  const session = new LlamaChatSession({ contextSequence: sequence, autoDisposeSequence: false });
  session.setChatHistory(
    messages
      .slice(0, -1)
      .map(({ role, content }) =>
        role === 'assistant' ? { type: 'model', response: [content] } : { type: role, text: content },
      ),
  );
  const schema = format?.json_schema?.schema;
  const grammar = schema && (await llama.createGrammarForJsonSchema(schema));
  const before = sequence.tokenMeter.getState();
  const { responseText, stopReason } = await session.promptWithMeta(messages.at(-1).content, {
    temperature: 0,
    maxTokens,
    ...(grammar ? { grammar } : {}),
  });
  const used = sequence.tokenMeter.diff(before);
  session.dispose();
  return {
    object: 'chat.completion',
    model: basename(path),
    choices: [
      {
        index: 0,
        finish_reason: stopReason === 'maxTokens' ? 'length' : 'stop',
        message: { role: 'assistant', content: responseText },
      },
    ],
    usage: { prompt_tokens: used.usedInputTokens, completion_tokens: used.usedOutputTokens },
  };
}

let last = Promise.resolve();
createServer(async (request, response) => {
  const send = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions')
    return send(404, { error: { message: 'there is only POST /v1/chat/completions' } });
  let text = '';
  for await (const chunk of request) text += chunk;
  const turn = last.then(async () => {
    try {
      send(200, await complete(JSON.parse(text)));
    } catch (error) {
      send(500, { error: { message: error.message } });
    }
  });
  last = turn;
}).listen(Number(port), '127.0.0.1', () => process.stderr.write(`http://127.0.0.1:${port}/v1\n`));
