import { corrupt, invalidArgument } from '@dmoerm/core';
import type { Gguf } from '@dmoerm/weights';
import { byteLevel, GPT2_PATTERN, splitBy, type PreTokenizerPart } from './pre-tokenizer';
import { withRolesSpecial, type NamedTokens, type TokenizerSource } from './source';
import type { AddedToken } from './special-tokens';

/** Llama 3's and Qwen's rule for words; they differ in how many digits stay together. */
const llama3Pattern = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

interface Family {
  readonly preTokenizer: PreTokenizerPart;
  readonly normalizer: unknown;
  /** Whether a word that is in the vocabulary is taken whole, without merges. */
  readonly ignoreMerges: boolean;
}
const plain = (preTokenizer: PreTokenizerPart): Family => ({
  preTokenizer,
  normalizer: null,
  ignoreMerges: false,
});

/** Ways to cut text, by `tokenizer.ggml.pre`. GGUF only names them. */
const FAMILIES: Readonly<Record<string, Family>> = {
  default: plain(byteLevel(splitBy(GPT2_PATTERN))),
  'gpt-2': plain(byteLevel(splitBy(GPT2_PATTERN))),
  smollm: plain(byteLevel(splitBy('\\p{N}'), splitBy(GPT2_PATTERN))),
  qwen2: { ...plain(byteLevel(splitBy(llama3Pattern('\\p{N}')))), normalizer: { type: 'NFC' } },
  'llama-bpe': { ...plain(byteLevel(splitBy(llama3Pattern('\\p{N}{1,3}')))), ignoreMerges: true },
};

/** `tokenizer.ggml.token_type` numbers. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const NAMED: Readonly<Record<keyof NamedTokens, string>> = {
  bos_token: 'bos',
  eos_token: 'eos',
  unk_token: 'unknown',
  pad_token: 'padding',
};

/**
 * The tokenizer that GGUF metadata describes.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_TOKENIZER`, naming what is not supported and what is; DATA_LOSS, reason
 *   `BAD_TOKENIZER`.
 */
export function readGgufTokenizer(file: string, { metadata }: Gguf): TokenizerSource {
  const keys = new TokenizerKeys(file, metadata);
  const family = readFamily(file, keys);
  const tokens = keys.strings('tokenizer.ggml.tokens');
  const types = keys.numbers('tokenizer.ggml.token_type', tokens.length);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const named = readNamedTokens(keys, tokens);
  const added = tokens.flatMap((content, id) => addedToken(content, id, types[id]));
  return {
    file,
    addedTokens: withRolesSpecial(added, vocab, Object.values(named)),
    normalizer: family.normalizer,
    preTokenizer: family.preTokenizer,
    model: {
      type: 'BPE',
      vocab,
      merges: keys.strings('tokenizer.ggml.merges'),
      ignore_merges: family.ignoreMerges,
    },
    decoder: { type: 'ByteLevel' },
    namedTokens: named,
    template: keys.optionalString('tokenizer.chat_template'),
  };
}

function readFamily(file: string, keys: TokenizerKeys): Family {
  const model = keys.optionalString('tokenizer.ggml.model') ?? 'nothing';
  if (model !== 'gpt2')
    throw refused(
      file,
      `tokenizer.ggml.model ${model.slice(0, 64)}`,
      'supported is gpt2; or use the Hugging Face folder of the model',
    );
  const name = keys.optionalString('tokenizer.ggml.pre') ?? 'default';
  const family = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined;
  if (family === undefined)
    throw refused(
      file,
      `tokenizer.ggml.pre ${name.slice(0, 64)}`,
      `supported are ${Object.keys(FAMILIES).join(', ')}`,
    );
  return family;
}

function addedToken(content: string, id: number, type: number | undefined): AddedToken[] {
  const special = type === CONTROL || type === UNKNOWN;
  return special || type === USER_DEFINED ? [{ id, content, special, lstrip: false, rstrip: false }] : [];
}

function readNamedTokens(keys: TokenizerKeys, tokens: readonly string[]): NamedTokens {
  const named = Object.entries(NAMED).map(([role, key]) => [
    role,
    tokens[keys.optionalNumber(`tokenizer.ggml.${key}_token_id`) ?? -1],
  ]);
  return Object.fromEntries(named.filter(([, token]) => token !== undefined));
}

function refused(file: string, what: string, instead: string): Error {
  return invalidArgument(file, 'UNSUPPORTED_TOKENIZER', `${file}: ${what} is not supported; ${instead}`);
}

/** Metadata, typed. */
class TokenizerKeys {
  constructor(
    readonly file: string,
    readonly metadata: Gguf['metadata'],
  ) {}

  strings(key: string): readonly string[] {
    const value = this.metadata.get(key);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw this.#wrong(key, 'a list of strings');
  }
  numbers(key: string, length: number): readonly number[] {
    const value = this.metadata.get(key) ?? [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'number') && value.length === length)
      return value;
    throw this.#wrong(key, `a list of ${length} numbers`);
  }
  optionalString(key: string): string | null {
    const value = this.metadata.get(key) ?? null;
    if (value === null || typeof value === 'string') return value;
    throw this.#wrong(key, 'a string');
  }
  optionalNumber(key: string): number | null {
    const value = this.metadata.get(key) ?? null;
    if (value === null || typeof value === 'number') return value;
    throw this.#wrong(key, 'a number');
  }
  #wrong(key: string, wanted: string): Error {
    return corrupt(`${this.file}: ${key}`, 'BAD_TOKENIZER', `${this.file}: ${key} must be ${wanted}`);
  }
}
