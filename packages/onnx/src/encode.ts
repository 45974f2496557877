import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { OnnxTensor } from './messages';

/** An operator: `Gemm`, `Relu`, ... of the default ONNX domain. */
export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Whole numbers and lists of them; all that the operators in use need. */
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
}

/** An input or output: a string is a dimension of any size, e.g. `N`. */
export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxTensor['type'];
  readonly shape: readonly (number | string)[];
}

/** A model to be written. */
export interface OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly constants: Readonly<Record<string, OnnxTensor>>;
  /** In an order in which they can be run. */
  readonly nodes: readonly OnnxNode[];
}

const IR_VERSION = 8;
const OPSET_VERSION = 17;
const DATA_TYPES = { float32: 1, int64: 7 } as const;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

/** A graph in the ONNX file format (onnx.proto: field numbers in the tags below). */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  return message((model) => {
    field(model, 1).int64(IR_VERSION);
    text(model, 2, 'dmoerm');
    nested(model, 7, (body) => {
      for (const node of graph.nodes) nested(body, 1, (writer) => writeNode(writer, node));
      text(body, 2, 'dmoerm');
      for (const [name, tensor] of Object.entries(graph.constants))
        nested(body, 5, (writer) => writeTensor(writer, name, tensor));
      for (const value of graph.inputs) nested(body, 11, (writer) => writeValue(writer, value));
      for (const value of graph.outputs) nested(body, 12, (writer) => writeValue(writer, value));
    });
    nested(model, 8, (opset) => field(opset, 2).int64(OPSET_VERSION));
  });
}

function writeNode(writer: BinaryWriter, node: OnnxNode): void {
  for (const input of node.inputs) text(writer, 1, input);
  for (const output of node.outputs) text(writer, 2, output);
  text(writer, 4, node.operator);
  for (const [name, value] of Object.entries(node.attributes ?? {}))
    nested(writer, 5, (attribute) => {
      text(attribute, 1, name);
      if (typeof value === 'number') field(attribute, 3).int64(value);
      else for (const one of value) field(attribute, 8).int64(one);
      field(attribute, 20).int32(typeof value === 'number' ? ATTRIBUTE_INT : ATTRIBUTE_INTS);
    });
}

function writeTensor(writer: BinaryWriter, name: string, { type, shape, data }: OnnxTensor): void {
  for (const size of shape) field(writer, 1).int64(size);
  field(writer, 2).int32(DATA_TYPES[type]);
  text(writer, 8, name);
  bytes(writer, 9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValue(writer: BinaryWriter, { name, type, shape }: OnnxValue): void {
  text(writer, 1, name);
  nested(writer, 2, (valueType) =>
    nested(valueType, 1, (tensorType) => {
      field(tensorType, 1).int32(DATA_TYPES[type]);
      nested(tensorType, 2, (dimensions) => {
        for (const size of shape)
          nested(dimensions, 1, (dimension) => {
            if (typeof size === 'number') field(dimension, 1).int64(size);
            else text(dimension, 2, size);
          });
      });
    }),
  );
}

function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

/** A tag of wire type varint. */
function field(writer: BinaryWriter, number: number): BinaryWriter {
  return writer.uint32(number << 3);
}

function bytes(writer: BinaryWriter, number: number, value: Uint8Array): void {
  writer.uint32((number << 3) | 2).bytes(value);
}

function text(writer: BinaryWriter, number: number, value: string): void {
  writer.uint32((number << 3) | 2).string(value);
}

function nested(writer: BinaryWriter, number: number, write: (writer: BinaryWriter) => void): void {
  bytes(writer, number, message(write));
}
