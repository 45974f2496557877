export { openBase } from './base';
export { readGguf } from './gguf';
export type { Gguf } from './gguf';
export type { GgufScalar, GgufValue } from './gguf-metadata';
export { openAdapter } from './peft';
export { readTensorF32 } from './read-tensor';
export { readSafetensors } from './safetensors';
export type { Safetensors } from './safetensors';
export { writeAdapter } from './write-peft';
export type { AdapterContent, LoraValues } from './write-peft';
export { toBfloat16, writeSafetensors } from './write-safetensors';
export type { NamedTensor } from './write-safetensors';
export type {
  Architecture,
  BaseModel,
  BaseTensor,
  LoraAdapter,
  LoraModule,
  LoraTarget,
  ModelConfig,
  TensorRef,
  TensorType,
} from './types';

// For other packages: JSON files with the same errors.
export { readJson } from './file';
