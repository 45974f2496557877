import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createTrainer, type Trainer } from '@dmoerm/engine';
import { openTokenizer } from '@dmoerm/tokenizer';
import { openBase, writeSafetensors } from '@dmoerm/weights';
import { encodePairs, pairRenderer } from '../training/encode';
import { learn } from '../training/learn';
import { EVENTS, METRICS } from '../training/metrics';
import type { PairRecord } from '../training/pairs';
import { fitProbeHeads } from '../training/probe-head';
import type { Recipe, Scratch } from '../training/recipe';
import type { Selection } from '../training/select';
import { putHead } from '../training/units';
import { trainVocabulary } from './bpe';
import { writeDecoderFolder, writeRandomWeights } from './decoder';
import { trainLanguageModel } from './language-model';

/** Where a base is made, and how to tell. */
export interface ScratchOptions {
  readonly recipe: Recipe;
  readonly selection: Selection;
  /** Run folder. */
  readonly folder: string;
  readonly threads: number;
  readonly checkpointSeconds: number;
  readonly onStage?: (stage: string) => void;
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

const MAX_ROWS = 4096;
/** Where the language model is in the making. */
const TRAINING = 'language-model-training';

/** What became of the phases. */
interface Report {
  /** Nats per token on validation texts. */
  readonly language_model: number;
  /** Accuracy of overall preferences on validation, before and after phase 1; null without it. */
  readonly preferences: { readonly probe: number; readonly accuracy: number; readonly step: number } | null;
}

/**
 * A base from scratch: vocabulary, language model, then all parameters on preferences (phase 1). Made once in a run folder,
 * as a Hugging Face folder in bfloat16 with `training.json` beside it; gives its path.
 */
export async function makeBase(scratch: Scratch, options: ScratchOptions): Promise<string> {
  const target = join(options.folder, 'base');
  if (existsSync(target)) return target;
  const draft = join(options.folder, 'base-in-the-making');
  const initial = join(draft, 'initial');
  const rows = options.selection.tasks.flatMap(({ experts, overall }) => [
    ...[...experts.values()].flat(),
    ...overall,
  ]);
  if (!existsSync(join(initial, 'model.safetensors'))) {
    options.onStage?.('vocabulary');
    const vocabulary = trainVocabulary(textsOf(rows, 'train'), scratch.decoder.vocabulary);
    writeDecoderFolder(initial, scratch.decoder, vocabulary);
    await writeRandomWeights(initial, scratch.decoder, options.recipe.seed);
  }
  const { trainer, loss } = await languageModel(scratch, rows, initial, draft, options);
  const pretrained = join(draft, 'language-model');
  try {
    await writeBase(pretrained, initial, trainer);
  } finally {
    await trainer[Symbol.asyncDispose]();
  }
  const made =
    scratch.preferences === undefined
      ? null
      : await preferences(scratch.preferences, pretrained, draft, options);
  const report: Report = { language_model: loss, preferences: made?.report ?? null };
  writeFileSync(join(options.folder, 'base-training.json'), `${JSON.stringify(report, null, 2)}\n`);
  await rename(join(draft, TRAINING, METRICS), join(options.folder, 'language-model.jsonl'));
  await rename(join(draft, TRAINING, EVENTS), join(options.folder, `${EVENTS}.language-model`));
  await rename(made?.folder ?? pretrained, target);
  await rm(draft, { recursive: true });
  return target;
}

/** Every text of the rows once: prompts with each of their responses. */
function* conversations(
  rows: readonly PairRecord[],
  split: string,
): Generator<[PairRecord['messages'], string]> {
  const seen = new Set<string>();
  for (const row of rows) {
    if (row.split !== split) continue;
    for (const response of [row.chosen, row.rejected]) {
      const key = JSON.stringify([row.messages, response]);
      if (seen.has(key)) continue;
      seen.add(key);
      yield [row.messages, response];
    }
  }
}

function* textsOf(rows: readonly PairRecord[], split: string): Generator<string> {
  const seen = new Set<string>();
  for (const [messages, response] of conversations(rows, split))
    for (const text of [...messages.map(({ content }) => content), response])
      if (!seen.has(text)) {
        seen.add(text);
        yield text;
      }
}

async function languageModel(
  scratch: Scratch,
  rows: readonly PairRecord[],
  initial: string,
  draft: string,
  options: ScratchOptions,
): Promise<{ readonly trainer: Trainer; readonly loss: number }> {
  const { template } = await openTokenizer(initial);
  const sequences = (split: string): Int32Array[] => {
    const all: Int32Array[] = [];
    for (const [messages, response] of conversations(rows, split)) {
      const tokens = [...template.promptTokens(messages), ...template.candidateTokens(response)];
      const { sequence } = scratch.language_model;
      for (let at = 0; at < tokens.length; at += sequence) {
        const part = Int32Array.from(tokens.slice(at, at + sequence));
        if (part.length > 1) all.push(part);
      }
    }
    return all;
  };
  const train = sequences('train');
  options.onStage?.(`language model: ${train.reduce((sum, { length }) => sum + length, 0)} tokens`);
  return trainLanguageModel({
    base: await openBase(initial),
    config: scratch.language_model,
    train,
    valid: sequences('valid'),
    seed: options.recipe.seed,
    threads: options.threads,
    folder: join(draft, TRAINING),
    checkpointSeconds: options.checkpointSeconds,
    onProgress: (done, total) => options.onProgress?.('language model', done, total),
  });
}

/** Phase 1 with all parameters. */
async function preferences(
  schedule: NonNullable<Scratch['preferences']>,
  pretrained: string,
  draft: string,
  options: ScratchOptions,
): Promise<{ readonly folder: string; readonly report: NonNullable<Report['preferences']> }> {
  const base = await openBase(pretrained);
  const opened = await openTokenizer(pretrained);
  const pairs = options.selection.tasks.flatMap(({ first }) => first);
  const renderer = pairRenderer(
    opened,
    Math.min(schedule.max_tokens ?? options.recipe.max_tokens, base.config.maxPositions),
  );
  const part = (split: string) => encodePairs([pairs.filter((row) => row.split === split)], renderer).groups;
  const [train, valid] = [part('train'), part('valid')];
  options.onStage?.(`preferences, all parameters: ${train.length} prompts`);
  await using trainer = await createTrainer(base, {
    plan: { type: 'full' },
    trainBase: true,
    threads: options.threads,
    experts: [{ adapter: [] }],
  });
  const learners = [{ index: 0, unit: 'base' }];
  const [probe] = await fitProbeHeads({
    trainer,
    learners,
    train,
    valid,
    ownRows: false,
    trunk: null,
    maxRows: MAX_ROWS,
  });
  if (probe !== undefined) await putHead(trainer, 0, probe.head);
  const [learned] = await learn({
    trainer,
    learners,
    train,
    valid,
    schedule,
    seed: options.recipe.seed,
    folder: join(draft, 'preferences-training'),
    sharedTrunk: false,
    trunk: null,
    learnsBase: true,
    maxRows: MAX_ROWS,
    checkpointSeconds: options.checkpointSeconds,
    onProgress: (done, total) => options.onProgress?.('preferences', done, total),
  });
  const folder = join(draft, 'preferences');
  await writeBase(folder, pretrained, trainer);
  const { accuracy = NaN, step = 0 } = learned?.best ?? {};
  return { folder, report: { probe: probe?.accuracy ?? NaN, accuracy, step } };
}

/** A Hugging Face folder with the trainer's tensors and another's configuration and tokenizer. */
export async function writeBase(folder: string, from: string, trainer: Trainer): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(from, name), join(folder, name));
  const own = trainer.parameters.filter(({ name }) => !name.startsWith('experts.'));
  const tensors = [];
  for (const { name, shape } of own)
    tensors.push({ name: `model.${name}`, shape, data: await trainer.read(name), type: 'BF16' as const });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
}
