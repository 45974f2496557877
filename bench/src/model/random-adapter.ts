import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '@dmoerm/weights';
import { MODELS_DIR } from '../paths';
import { Random } from './random';
import { linearShape, moduleName, targetsOf, type Shape, type Targets } from './shape';
import { makeOnce } from './whole';

/** Which adapter; equal specs give equal bytes. */
export interface AdapterSpec {
  /** Tells the experts of a task apart. */
  readonly index: number;
  readonly targets: Targets;
  /** r */
  readonly rank: number;
  /** It acts on the top layers only, this many; the layer count for all. */
  readonly topLayers: number;
}

/** A random PEFT LoRA folder for a base; written when it is first asked for. */
export function randomAdapter(shape: Shape, spec: AdapterSpec): Promise<string> {
  const name = `${spec.targets}-r${spec.rank}-top${spec.topLayers}-${spec.index}`;
  const path = join(MODELS_DIR, 'adapters', `d${shape.hiddenSize}-l${shape.layerCount}`, name);
  return makeOnce(path, async (draft) => {
    await mkdir(draft, { recursive: true });
    await writeFile(
      join(draft, 'adapter_config.json'),
      `${JSON.stringify(peftConfig(shape, spec), null, 2)}\n`,
    );
    await writeSafetensors(join(draft, 'adapter_model.safetensors'), adapterTensors(shape, spec));
  });
}

/** Parameters of such an adapter. */
export function adapterParameters(shape: Shape, { targets, rank, topLayers }: AdapterSpec): number {
  const perLayer = targetsOf(targets).reduce((sum, target) => {
    const [out, inner] = linearShape(shape, target);
    return sum + rank * (out + inner);
  }, 0);
  return topLayers * perLayer;
}

function adaptedLayers({ layerCount }: Shape, { topLayers }: AdapterSpec): number[] {
  return Array.from({ length: topLayers }, (_, i) => layerCount - topLayers + i);
}

function peftConfig(shape: Shape, spec: AdapterSpec): object {
  return {
    peft_type: 'LORA',
    r: spec.rank,
    lora_alpha: 2 * spec.rank,
    lora_dropout: 0,
    bias: 'none',
    init_lora_weights: true,
    inference_mode: true,
    target_modules: [...targetsOf(spec.targets)],
    layers_to_transform: spec.topLayers === shape.layerCount ? null : adaptedLayers(shape, spec),
  };
}

function adapterTensors(shape: Shape, spec: AdapterSpec) {
  return adaptedLayers(shape, spec).flatMap((layer) =>
    targetsOf(spec.targets).flatMap((target) => {
      const [out, inner] = linearShape(shape, target);
      const name = `base_model.model.model.layers.${layer}.${moduleName(target)}`;
      const tensor = (matrix: 'A' | 'B', sizes: readonly [number, number]) => ({
        name: `${name}.lora_${matrix}.weight`,
        shape: sizes,
        data: new Random(`${spec.index} ${name} ${matrix}`).weights(sizes[0] * sizes[1]),
      });
      return [tensor('A', [spec.rank, inner]), tensor('B', [out, spec.rank])];
    }),
  );
}
