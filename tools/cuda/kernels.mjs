// What the assembler says that each kernel takes, the occupancy that follows, and the limits that hold.

/** By what a launch calls itself: the kernel's symbol, and limits: registers, and resident warps of an SM's; `only` one architecture's. */
export const KERNELS = {
  'linear bf16': { symbol: 'product_kernel<(Element)1, (Kind)0>', registers: 128, occupancy: 0.16 },
  'gated bf16': { symbol: 'product_kernel<(Element)1, (Kind)1>', registers: 128, occupancy: 0.16 },
  'linear int8': { symbol: 'product_kernel<(Element)2, (Kind)0>', registers: 168, occupancy: 0.12 },
  'gated int8': { symbol: 'product_kernel<(Element)2, (Kind)1>', registers: 192, occupancy: 0.12 },
  'lora_down bf16': { symbol: 'product_kernel<(Element)1, (Kind)2>', registers: 80, occupancy: 0.25 },
  'linear f32': { symbol: 'product_kernel<(Element)0, (Kind)0>', registers: 255, occupancy: 0.1 },
  'gated f32': { symbol: 'product_kernel<(Element)0, (Kind)1>', registers: 255, occupancy: 0.1 },
  'lora_down f32': { symbol: 'product_kernel<(Element)0, (Kind)2>', registers: 96, occupancy: 0.25 },
  'attention 32': { symbol: 'attention_kernel<1>', registers: 96, occupancy: 0.3 },
  'attention 64': { symbol: 'attention_kernel<2>', registers: 128, occupancy: 0.25 },
  'attention 128': { symbol: 'attention_kernel<4>', registers: 168, occupancy: 0.15 },
  'attention 256': { symbol: 'attention_kernel<8>', registers: 255, occupancy: 0.06 },
  'attention bf16 64': { symbol: 'tensor_attention_kernel<64, 64, true>', registers: 152, occupancy: 0.15 },
  'attention bf16 below 64': {
    symbol: 'tensor_attention_kernel<64, 64, false>',
    registers: 152,
    occupancy: 0.15,
  },
  'attention bf16 128': { symbol: 'tensor_attention_kernel<128, 64, true>', registers: 224, occupancy: 0.08 },
  'attention bf16 below 128': {
    symbol: 'tensor_attention_kernel<128, 64, false>',
    registers: 224,
    occupancy: 0.08,
  },
  'attention bf16 256': { symbol: 'tensor_attention_kernel<256, 16, true>', registers: 255, occupancy: 0.08 },
  'attention bf16 below 256': {
    symbol: 'tensor_attention_kernel<256, 16, false>',
    registers: 255,
    occupancy: 0.08,
  },
  pack_keys: { symbol: 'pack_keys_kernel', registers: 40, occupancy: 0.7 },
  ...Object.fromEntries(
    [
      ['linear 256', '256, false', 168, 0.14],
      ['linear 128', '128, false', 104, 0.28],
      ['linear 64', '64, false', 72, 0.28],
      ['gated 256', '256, true', 168, 0.14],
      ['gated 128', '128, true', 104, 0.28],
    ].map(([name, types, registers, occupancy]) => [
      `hopper ${name}`,
      { symbol: `hopper_product_kernel<${types}>`, registers, occupancy, only: 'sm_90a' },
    ]),
  ),
  rms_norm: { symbol: 'rms_norm_kernel', registers: 40, occupancy: 0.7 },
  'pack_rows f32': { symbol: 'pack_rows_kernel<(Element)0>', registers: 40, occupancy: 0.7 },
  'pack_rows bf16': { symbol: 'pack_rows_kernel<(Element)1>', registers: 40, occupancy: 0.7 },
  'pack_rows int8': { symbol: 'pack_int8_kernel', registers: 64, occupancy: 0.5 },
  rope: { symbol: 'rope_kernel', registers: 40, occupancy: 0.7 },
  softmax_terms: { symbol: 'softmax_terms_kernel', registers: 40, occupancy: 0.7 },
  copy_rows: { symbol: 'copy_rows_kernel', registers: 40, occupancy: 0.7 },
  'embed f32': { symbol: 'embed_kernel<(Element)0>', registers: 40, occupancy: 0.7 },
  'embed bf16': { symbol: 'embed_kernel<(Element)1>', registers: 40, occupancy: 0.7 },
  'query gradient 32': { symbol: 'query_gradient_kernel<1>', registers: 128, occupancy: 0.25 },
  'query gradient 64': { symbol: 'query_gradient_kernel<2>', registers: 128, occupancy: 0.2 },
  'query gradient 128': { symbol: 'query_gradient_kernel<4>', registers: 168, occupancy: 0.08 },
  'query gradient 256': { symbol: 'query_gradient_kernel<8>', registers: 168, occupancy: 0.08 },
  'key gradient 32': { symbol: 'key_gradient_kernel<1>', registers: 184, occupancy: 0.25 },
  'key gradient 64': { symbol: 'key_gradient_kernel<2>', registers: 184, occupancy: 0.15 },
  'key gradient 128': { symbol: 'key_gradient_kernel<4>', registers: 184, occupancy: 0.08 },
  'key gradient 256': { symbol: 'key_gradient_kernel<8>', registers: 184, occupancy: 0.08 },
  'add parts': { symbol: 'add_parts_kernel', registers: 40, occupancy: 0.7 },
  'norm gradient': { symbol: 'norm_gradient_kernel', registers: 40, occupancy: 0.7 },
  'gated rows': { symbol: 'gated_rows_kernel', registers: 40, occupancy: 0.7 },
  'gated gradient': { symbol: 'gated_gradient_kernel', registers: 40, occupancy: 0.7 },
  'add chunks': { symbol: 'add_chunks_kernel', registers: 40, occupancy: 0.7 },
  'column sums': { symbol: 'column_sums_kernel', registers: 40, occupancy: 0.7 },
  outer: { symbol: 'outer_kernel', registers: 64, occupancy: 0.5 },
  transpose: { symbol: 'transpose_kernel', registers: 40, occupancy: 0.7 },
  'scatter add': { symbol: 'scatter_add_kernel', registers: 40, occupancy: 0.7 },
  'drop out': { symbol: 'drop_out_kernel', registers: 40, occupancy: 0.7 },
  clear: { symbol: 'element_kernel<(Change)0>', registers: 40, occupancy: 0.7 },
  copy: { symbol: 'element_kernel<(Change)1>', registers: 40, occupancy: 0.7 },
  add: { symbol: 'element_kernel<(Change)2>', registers: 40, occupancy: 0.7 },
  scale: { symbol: 'element_kernel<(Change)3>', registers: 40, occupancy: 0.7 },
  'token logprobs': { symbol: 'token_logprobs_kernel', registers: 64, occupancy: 0.5 },
  squares: { symbol: 'squares_kernel', registers: 40, occupancy: 0.7 },
  adam: { symbol: 'adam_kernel', registers: 40, occupancy: 0.7 },
};

/**
 * Of a streaming multiprocessor: registers, warps, blocks, bytes of shared memory for all blocks and most for one (CUDA
 * C++ programming guide, compute capabilities).
 */
const PROCESSORS = {
  sm_80: { registers: 65536, warps: 64, blocks: 32, shared: 164 << 10, perBlock: 163 << 10 },
  sm_86: { registers: 65536, warps: 48, blocks: 16, shared: 100 << 10, perBlock: 99 << 10 },
  sm_89: { registers: 65536, warps: 48, blocks: 24, shared: 100 << 10, perBlock: 99 << 10 },
  sm_90: { registers: 65536, warps: 64, blocks: 32, shared: 228 << 10, perBlock: 227 << 10 },
};

/**
 * Reads what `ptxas -v` printed, names demangled.
 * @returns one entry per kernel and architecture.
 */
export function readAssembler(text) {
  const found = [];
  for (const line of text.split('\n')) {
    const entry = /Compiling entry function '(.+)' for '(sm_\d+a?)'/.exec(line);
    if (entry) {
      const symbol = entry[1]
        .replace(/\(anonymous namespace\)::|dmoerm::cuda::|^void /g, '')
        .replace(/\([^()]*\)$/, '');
      found.push({ symbol, architecture: entry[2], stack: 0, spills: 0, registers: 0 });
    }
    const last = found.at(-1);
    const stack = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (stack && last)
      Object.assign(last, { stack: Number(stack[1]), spills: Number(stack[2]) + Number(stack[3]) });
    const registers = /Used (\d+) registers/.exec(line);
    if (registers && last) last.registers = Number(registers[1]);
  }
  return found;
}

/** Share of an SM's warps that are resident: theoretical occupancy. */
export function occupancy(architecture, registers, threads, sharedBytes) {
  const sm = PROCESSORS[architecture.replace(/a$/, '')];
  const warps = threads / 32;
  // Registers come in units of 256 per warp, shared memory in units of 128 bytes with 1 KiB for the system.
  const perWarp = Math.ceil((registers * 32) / 256) * 256;
  const byRegisters = Math.floor(Math.floor(sm.registers / perWarp) / warps);
  const byShared = Math.floor(sm.shared / (Math.ceil(sharedBytes / 128) * 128 + 1024));
  const fits = sharedBytes <= sm.perBlock;
  return fits
    ? (Math.min(byRegisters, byShared, sm.blocks, Math.floor(sm.warps / warps)) * warps) / sm.warps
    : 0;
}

/**
 * Holds kernels against their limits.
 * @param assembled of `readAssembler`
 * @param launches threads and shared bytes by kernel, as launches had them
 * @returns a table's rows, and what is wrong.
 */
export function judge(assembled, launches) {
  const rows = [];
  const wrong = [];
  for (const [name, limits] of Object.entries(KERNELS)) {
    const launch = launches.get(name);
    if (!launch) wrong.push(`${name}: no test launches it`);
    for (const architecture of limits.only === undefined ? Object.keys(PROCESSORS) : [limits.only]) {
      const kernel = assembled.find(
        (one) => one.symbol === limits.symbol && one.architecture === architecture,
      );
      if (!kernel || !launch) {
        wrong.push(`${name}: not compiled for ${architecture}`);
        continue;
      }
      const share = occupancy(architecture, kernel.registers, launch.threads, launch.sharedBytes);
      rows.push({ name, architecture, ...kernel, ...launch, share });
      if (kernel.spills > 0) wrong.push(`${name}, ${architecture}: ${kernel.spills} bytes of spills`);
      if (kernel.stack > 0) wrong.push(`${name}, ${architecture}: a stack of ${kernel.stack} bytes`);
      if (kernel.registers > limits.registers)
        wrong.push(`${name}, ${architecture}: ${kernel.registers} registers of ${limits.registers}`);
      if (share < limits.occupancy)
        wrong.push(`${name}, ${architecture}: occupancy ${share.toFixed(2)} below ${limits.occupancy}`);
    }
  }
  const known = new Set(Object.values(KERNELS).map(({ symbol }) => symbol));
  for (const symbol of new Set(assembled.map((one) => one.symbol)))
    if (!known.has(symbol)) wrong.push(`${symbol}: a kernel without limits`);
  return { rows, wrong };
}
