import { openAdapter, type BaseModel, type LoraAdapter } from '@dmoerm/weights';
import { randomAdapter, type AdapterSpec } from './random-adapter';

/** Adapters of K experts for a base: of one kind, each with weights of its own. */
export async function randomExperts(
  base: BaseModel,
  count: number,
  spec: Omit<AdapterSpec, 'index'>,
): Promise<LoraAdapter[]> {
  const adapters: LoraAdapter[] = [];
  for (let index = 0; index < count; index++)
    adapters.push(await openAdapter(await randomAdapter(base.config, { ...spec, index }), base.config));
  return adapters;
}
