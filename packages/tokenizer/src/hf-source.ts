import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { corrupt, invalidArgument } from '@dmoerm/core';
import { readJson } from '@dmoerm/weights';
import { z } from 'zod';
import { withRolesSpecial, type BpeModel, type NamedTokens, type TokenizerSource } from './source';

const Id = z
  .int()
  .nonnegative()
  .max(2 ** 24);
/** A part of the pre-tokenizer; a `Sequence` holds others. */
const PreTokenizer = z.looseObject({
  type: z.string(),
  get pretokenizers() {
    return z.array(PreTokenizer).exactOptional();
  },
});
const TokenizerJson = z.object({
  added_tokens: z
    .array(
      z.object({
        id: Id,
        content: z.string().min(1),
        special: z.boolean().default(false),
        lstrip: z.boolean().default(false),
        rstrip: z.boolean().default(false),
        normalized: z.boolean().optional(),
      }),
    )
    .default([]),
  normalizer: z.looseObject({ type: z.string() }).nullish(),
  pre_tokenizer: PreTokenizer.nullish(),
  decoder: z.looseObject({ type: z.string() }).nullish(),
  model: z.looseObject({ type: z.string().optional() }),
});
const Bpe = z.looseObject({
  vocab: z.record(z.string(), Id),
  merges: z.union([z.array(z.string()), z.array(z.tuple([z.string(), z.string()]))]),
});

/** A token is given by its text, or as an object with it. */
const Token = z
  .union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)])
  .nullish()
  .transform((token) => token ?? undefined);
const Named = z.object({ bos_token: Token, eos_token: Token, unk_token: Token, pad_token: Token });
const Extra = z.array(Token).nullish().catch(null);
const TokenizerConfig = Named.extend({
  additional_special_tokens: Extra,
  extra_special_tokens: Extra,
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullish(),
});

/**
 * The tokenizer of a Hugging Face folder: `tokenizer.json`, with `tokenizer_config.json`, `special_tokens_map.json` and
 * `chat_template.jinja` if they are there.
 * @throws DmoermError NOT_FOUND; DATA_LOSS naming file and key; INVALID_ARGUMENT, reason `UNSUPPORTED_TOKENIZER`.
 */
export async function readHfTokenizer(folder: string): Promise<TokenizerSource> {
  const file = join(folder, 'tokenizer.json');
  const json = await readJson(file, TokenizerJson);
  const config = await readOptional(join(folder, 'tokenizer_config.json'), TokenizerConfig);
  const map = await readOptional(join(folder, 'special_tokens_map.json'), Named);
  const model = readModel(file, json.model);
  const named = namedTokens({ ...map, ...config });
  const extra = [config?.additional_special_tokens, config?.extra_special_tokens].flatMap(
    (tokens) => tokens ?? [],
  );
  const roles = [...Object.values(named), ...extra.filter((token) => token !== undefined)];
  return {
    file,
    addedTokens: withRolesSpecial(json.added_tokens, model.vocab, roles),
    normalizer: json.normalizer ?? null,
    preTokenizer: json.pre_tokenizer ?? null,
    model,
    decoder: json.decoder ?? null,
    namedTokens: named,
    template: await readTemplate(folder, config?.chat_template ?? null),
  };
}

function readModel(file: string, model: z.output<typeof TokenizerJson>['model']): BpeModel {
  // Files from before the type was written down have BPE's parts without saying so.
  const type = model.type ?? ('merges' in model ? 'BPE' : 'nothing');
  if (type !== 'BPE')
    throw invalidArgument(
      file,
      'UNSUPPORTED_TOKENIZER',
      `${file}: a tokenizer model of type ${type.slice(0, 64)} is not supported; supported is BPE`,
    );
  const parsed = Bpe.safeParse(model);
  if (!parsed.success)
    throw corrupt(`${file}: model`, 'BAD_TOKENIZER', `${file}: model has no usable vocab and merges`);
  return { ...parsed.data, type };
}

function namedTokens(config: Partial<z.output<typeof Named>>): NamedTokens {
  const { bos_token, eos_token, unk_token, pad_token } = config;
  const all = { bos_token, eos_token, unk_token, pad_token };
  return Object.fromEntries(Object.entries(all).filter(([, token]) => token !== undefined));
}

async function readTemplate(
  folder: string,
  configured: z.output<typeof TokenizerConfig>['chat_template'] | null,
): Promise<string | null> {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return readFile(file, 'utf8');
  if (typeof configured === 'string') return configured;
  return configured?.find(({ name }) => name === 'default')?.template ?? null;
}

async function readOptional<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S> | undefined> {
  return existsSync(file) ? readJson(file, schema) : undefined;
}
