// A decoder as an ONNX graph: RMSNorm, grouped attention with RoPE, gated MLP, in the fused operators of ONNX Runtime.
//
// The weights are made up and lie in a file beside the model. Every layer has a copy of its own, or one layer's weights would stay in the
// processor's cache.
import onnxProto from 'onnx-proto';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { basename } from 'node:path';

const { onnx } = onnxProto;
const { FLOAT, INT8, INT32 } = onnx.TensorProto.DataType;
const { INT, FLOAT: FLOAT_ATTRIBUTE } = onnx.AttributeProto.AttributeType;
const MICROSOFT = 'com.microsoft';
const { EXTERNAL } = onnx.TensorProto.DataLocation;
const PAGE = 4096;
/** Longest sequence. */
const MAX_TOKENS = 8192;
const EPSILON = 1e-6;
const ROPE_BASE = 1e6;

/**
 * Writes `file` and `file.data`. `type` is `fp32`, or `int8`: whole-number products with rows quantised as they come, and made-up scales
 * (speed only). Inputs: x [1, T, d], last [1] (T - 1), total (T); output: hidden states [1, T, d].
 */
export function writeDecoder(file, shape, type) {
  const { hiddenSize: d, headCount, kvHeadCount, headDim, ffnSize, layerCount } = shape;
  const graph = new Graph(`${file}.data`, type);
  graph.constant('rope.cos', [MAX_TOKENS, headDim / 2], ropeTable(headDim, Math.cos));
  graph.constant('rope.sin', [MAX_TOKENS, headDim / 2], ropeTable(headDim, Math.sin));
  let hidden = 'x';
  for (let layer = 0; layer < layerCount; layer++) {
    const at = (name) => `${layer}.${name}`;
    const linear = (input, name, inner, out, bias = false) =>
      graph.linear({ input, output: at(name), inner, out, bias });
    const normed = graph.norm(hidden, at('normed'), d);
    const q = linear(normed, 'q', d, headCount * headDim, true);
    const k = linear(normed, 'k', d, kvHeadCount * headDim, true);
    const v = linear(normed, 'v', d, kvHeadCount * headDim, true);
    const [attended] = graph.node(
      'GroupQueryAttention',
      [q, k, v, '', '', 'last', 'total', 'rope.cos', 'rope.sin'],
      [at('attended'), at('keys'), at('values')],
      { num_heads: headCount, kv_num_heads: kvHeadCount, do_rotary: 1 },
      MICROSOFT,
    );
    const middle = graph.add(hidden, linear(attended, 'o', headCount * headDim, d), at('middle'));
    const normedMiddle = graph.norm(middle, at('normedMiddle'), d);
    const gate = linear(normedMiddle, 'gate', d, ffnSize);
    const up = linear(normedMiddle, 'up', d, ffnSize);
    const [sigmoid] = graph.node('Sigmoid', [gate], [at('sigmoid')]);
    const [silu] = graph.node('Mul', [gate, sigmoid], [at('silu')]);
    const [product] = graph.node('Mul', [silu, up], [at('product')]);
    hidden = graph.add(middle, linear(product, 'down', ffnSize, d), at('hidden'));
  }
  graph.write(file, graph.norm(hidden, 'output', d), d);
}

class Graph {
  nodes = [];
  initializers = new Map();
  /** Made-up weights by size. */
  made = new Map();

  constructor(dataFile, type) {
    this.type = type;
    this.dataName = basename(dataFile);
    this.data = openSync(dataFile, 'w');
    this.offset = 0;
  }

  node(opType, input, output, attributes = {}, domain = '') {
    const attribute = Object.entries(attributes).map(([name, value]) =>
      Number.isInteger(value) ? { name, type: INT, i: value } : { name, type: FLOAT_ATTRIBUTE, f: value },
    );
    this.nodes.push({ opType, input, output, attribute, domain, name: output[0] });
    return output;
  }

  /** A small constant inside the model. */
  constant(name, dims, values) {
    const dataType = values instanceof Float32Array ? FLOAT : INT8;
    this.initializers.set(name, { name, dims, dataType, rawData: new Uint8Array(values.buffer) });
    return name;
  }

  /** A weight in the data file. */
  weight(name, dims) {
    const values = this.madeUpWeight(dims);
    writeSync(this.data, values, 0, values.length, this.offset);
    this.initializers.set(name, {
      name,
      dims,
      dataType: this.type === 'fp32' ? FLOAT : INT8,
      dataLocation: EXTERNAL,
      externalData: [
        { key: 'location', value: this.dataName },
        { key: 'offset', value: String(this.offset) },
        { key: 'length', value: String(values.length) },
      ],
    });
    this.offset += Math.ceil(values.length / PAGE) * PAGE;
    return name;
  }

  /** Bytes of made-up weights, drawn once for each size. */
  madeUpWeight(dims) {
    const key = String(dims);
    if (!this.made.has(key)) {
      const values = this.type === 'fp32' ? madeUp(dims, Float32Array, 0.02) : madeUp(dims, Int8Array, 127);
      this.made.set(key, new Uint8Array(values.buffer));
    }
    return this.made.get(key);
  }

  norm(input, output, width) {
    const ones = this.constant('ones', [width], new Float32Array(width).fill(1));
    this.node('SimplifiedLayerNormalization', [input, ones], [output], { epsilon: EPSILON, axis: -1 });
    return output;
  }

  linear({ input, output, inner, out, bias }) {
    const weight = this.weight(`${output}.weight`, [inner, out]);
    const biases = bias ? [this.constant(`${output}.bias`, [out], madeUp([out], Float32Array, 0.02))] : [];
    if (this.type === 'fp32') {
      const product = bias ? `${output}.product` : output;
      this.node('MatMul', [input, weight], [product]);
      if (bias) this.add(product, biases[0], output);
      return output;
    }
    const scale = this.constant('scale', [1], Float32Array.of(0.02 / 127));
    const zero = this.constant('zero', [1], Int8Array.of(0));
    this.node('DynamicQuantizeMatMul', [input, weight, scale, zero, ...biases], [output], {}, MICROSOFT);
    return output;
  }

  add(a, b, output) {
    this.node('Add', [a, b], [output]);
    return output;
  }

  write(file, output, width) {
    closeSync(this.data);
    const value = (name, elemType, dims) => ({
      name,
      type: { tensorType: { elemType, shape: { dim: dims.map((size) => dimension(size)) } } },
    });
    const model = onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [
        { domain: '', version: 17 },
        { domain: MICROSOFT, version: 1 },
      ],
      graph: {
        name: 'decoder',
        node: this.nodes,
        initializer: [...this.initializers.values()],
        input: [value('x', FLOAT, [1, 'T', width]), value('last', INT32, [1]), value('total', INT32, [])],
        output: [value(output, FLOAT, [1, 'T', width])],
      },
    });
    writeFileSync(file, onnx.ModelProto.encode(model).finish());
  }
}

function dimension(size) {
  return typeof size === 'string' ? { dimParam: size } : { dimValue: size };
}

/** Numbers in [-scale, scale] that look random. */
export function madeUp(dims, Type, scale) {
  let state = 12345;
  return Type.from({ length: dims.reduce((product, size) => product * size, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}

function ropeTable(headDim, of) {
  const half = headDim / 2;
  return Float32Array.from({ length: MAX_TOKENS * half }, (_, i) =>
    of(Math.floor(i / half) * ROPE_BASE ** ((-2 * (i % half)) / headDim)),
  );
}
