import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readGguf } from '@dmoerm/weights';
import { createChatTemplate, type ChatTemplate } from './chat-template';
import { readGgufTokenizer } from './gguf-source';
import { readHfTokenizer } from './hf-source';
import { BpeTokenizer, type Tokenizer } from './tokenizer';

/** A base's way from text to tokens. */
export interface OpenedTokenizer {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/**
 * Opens the tokenizer and chat template of a base: a Hugging Face folder or a `.gguf` file, the same path as for `openBase`.
 * @throws DmoermError NOT_FOUND; DATA_LOSS naming file and key; INVALID_ARGUMENT, reason `UNSUPPORTED_TOKENIZER` or
 *   `UNSUPPORTED_TEMPLATE`, naming what is not supported and what is.
 */
export async function openTokenizer(basePath: string): Promise<OpenedTokenizer> {
  const path = resolve(basePath);
  const folder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  const source = folder ? await readHfTokenizer(path) : readGgufTokenizer(path, await readGguf(path));
  const tokenizer = new BpeTokenizer(source);
  return { tokenizer, template: createChatTemplate(source, tokenizer) };
}
