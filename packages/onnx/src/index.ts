export { createOnnxRunner } from './runner';
export type { OnnxModel, OnnxRunner } from './runner';
export type { NamedTensors, OnnxTensor } from './messages';
export { encodeOnnx } from './encode';
export type { OnnxGraph, OnnxNode, OnnxValue } from './encode';
