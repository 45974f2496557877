const { TestEnvironment } = require('jest-environment-node');

/**
 * jest gives tests a realm with its own typed-array classes; native addons (onnxruntime-node, ours) check
 * `instanceof` against the outer ones. This environment hands the outer classes to the tests.
 */
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of [
      'ArrayBuffer',
      'SharedArrayBuffer',
      'DataView',
      'Uint8Array',
      'Int8Array',
      'Uint8ClampedArray',
      'Uint16Array',
      'Int16Array',
      'Uint32Array',
      'Int32Array',
      'BigInt64Array',
      'BigUint64Array',
      'Float32Array',
      'Float64Array',
    ])
      this.global[name] = globalThis[name];
  }
};
