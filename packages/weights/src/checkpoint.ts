import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { corrupt, DmoermError } from '@dmoerm/core';
import { z } from 'zod';
import { readJson } from './file';
import { readSafetensors } from './safetensors';
import type { TensorRef } from './types';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const MAX_SHARDS = 10_000;

const Index = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * All tensors of a Hugging Face folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
 * @throws DmoermError NOT_FOUND if neither is there; DATA_LOSS if index and shards disagree; else as `readSafetensors`.
 */
export async function readCheckpoint(folder: string): Promise<ReadonlyMap<string, TensorRef>> {
  if (existsSync(join(folder, INDEX))) return readShards(folder);
  if (existsSync(join(folder, SINGLE))) return (await readSafetensors(join(folder, SINGLE))).tensors;
  throw new DmoermError({
    code: 'NOT_FOUND',
    reason: 'NO_WEIGHTS',
    message: `${folder} has neither ${SINGLE} nor ${INDEX}; other weight formats must be converted to safetensors`,
    field: folder,
  });
}

async function readShards(folder: string): Promise<ReadonlyMap<string, TensorRef>> {
  const index = join(folder, INDEX);
  const { weight_map: weightMap } = await readJson(index, Index);
  const files = new Set(Object.values(weightMap));
  if (files.size > MAX_SHARDS)
    throw corrupt(index, 'TOO_MANY_SHARDS', `${index} names ${files.size} files; at most ${MAX_SHARDS}`);
  const tensors = new Map<string, TensorRef>();
  for (const file of files) {
    if (file !== basename(file) || file === '' || file === '..')
      throw corrupt(index, 'BAD_SHARD_NAME', `${index} names a file outside its folder`);
    for (const tensor of (await readSafetensors(join(folder, file))).tensors.values()) {
      if (weightMap[tensor.name] !== file)
        throw corrupt(
          `${index}: ${tensor.name}`,
          'INDEX_MISMATCH',
          `tensor ${tensor.name} lies in ${file}, the index says otherwise`,
        );
      tensors.set(tensor.name, tensor);
    }
  }
  const absent = Object.keys(weightMap).find((name) => !tensors.has(name));
  if (absent !== undefined)
    throw corrupt(
      `${index}: ${absent}`,
      'INDEX_MISMATCH',
      `the index names tensor ${absent}, its file has no such tensor`,
    );
  return tensors;
}
