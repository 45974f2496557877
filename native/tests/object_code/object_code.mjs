// Reads the object code of the matrix kernels: a compiler that keeps sums on the stack, or moves them about, costs
// half the speed and fails no other test.
//
//     node object_code.mjs [build folder]
//
// In every innermost loop of a kernel that holds its multiply instruction: that instruction as often as the register
// tile has elements, no access to the stack, no move from vector register to vector register, at most one
// broadcast per row, no call. Kernels made to fail (controls.cpp) show that each of these is seen.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

const build = resolve(process.argv[2] ?? new URL('../../build', import.meta.url).pathname);
const FMA = /^vfmadd(132|213|231)ps$/;

/** What the loops of a kernel hold; `stack` and `moves` are allowances with a reason beside them. */
const vectors = (kernel, multiply, rows, times = 1, allowed = {}) => ({
  kernel,
  multiply,
  multiplies: rows * 2 * times,
  broadcasts: rows,
  ...allowed,
});
const avx2 = (quads) => [vectors('F32Dot', FMA, 6), vectors('WideDot', FMA, 6), quads];
const avx512 = (bf16, quads) => [vectors('F32Dot', FMA, 12), bf16, quads];
const tiles = (kernel, multiply) => ({ kernel, multiply, multiplies: 4, loads: 4, broadcasts: 0 });

const UNITS = {
  avx2: avx2(
    // Two multiplications a quad. 12 sums, 4 halves of weights, 2 of the row and the mask want 19 of 16 registers: 5
    // sums stay in memory. A tile of 4 rows fits and is slower (148 against 155 GOP/s on a Zen 4 core): the
    // additions take their operand from memory, and a row's halves serve fewer sums.
    vectors('QuadDot', /^vpmaddwd$/, 6, 2, { stack: 10 }),
  ),
  avx_vnni: avx2(vectors('QuadDot', /^vpdpbusd$/, 6)),
  avx512: avx512(vectors('WideDot', FMA, 12), vectors('QuadDot', /^vpmaddwd$/, 12, 2)),
  avx512_vnni: avx512(vectors('WideDot', FMA, 12), vectors('QuadDot', /^vpdpbusd$/, 12)),
  avx512_bf16: avx512(vectors('PairDot', /^vdpbf16ps$/, 12), vectors('QuadDot', /^vpdpbusd$/, 12)),
  amx: [vectors('f32_tile', FMA, 8), tiles('PairTiles', /^tdpbf16ps$/), tiles('QuadTiles', /^tdpbusd$/)],
};

/** Kernels of controls.cpp and the complaint that each must draw; null for none. */
const CONTROLS = [
  [vectors('sound_tile', FMA, 4), null],
  [vectors('spilling_tile', FMA, 20), 'stack'],
  [vectors('moving_tile', FMA, 4), 'moves'],
  [vectors('broadcasting_tile', FMA, 4), 'broadcasts'],
  [vectors('calling_tile', FMA, 4), 'calls'],
  [vectors('sound_tile', FMA, 6), 'multiplies'],
  [vectors('missing_tile', FMA, 4), 'no loop'],
];

let passed = 0;
let failed = 0;

if (spawnSync('objdump', ['--version']).status !== 0) {
  process.stdout.write('object code: not checked, no objdump (package binutils)\n');
} else {
  const units = disassemble(`${build}/libdmoerm_cpu.a`);
  for (const [unit, kernels] of Object.entries(UNITS)) {
    const object = units.get(`${unit}.cpp.o`) ?? new Map();
    for (const expected of kernels) report(`${unit}: ${expected.kernel}`, complaints(object, expected));
    report(`${unit}: functions that other units could be linked to`, shared(unit));
  }
  const control = disassemble(`${build}/libobject_code_controls.a`).get('controls.cpp.o');
  for (const [expected, wanted] of CONTROLS) {
    const found = complaints(control ?? new Map(), expected);
    const right = wanted === null ? found.length === 0 : found.some((one) => one.includes(wanted));
    report(
      `control: ${expected.kernel}, ${wanted ?? 'no complaint'}`,
      right ? [] : [`wanted '${wanted}', got '${found.join('; ')}'`],
    );
  }
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function report(name, found) {
  if (found.length === 0) return passed++;
  failed++;
  process.stderr.write(`FAILED ${name}: ${found.join('; ')}\n`);
}

/** Object name -> function name -> instructions { at, name, operands }. */
function disassemble(library) {
  const objects = new Map();
  let functions, instructions;
  for (const line of output('objdump', ['-d', '-C', '--no-show-raw-insn', library]).split('\n')) {
    const object = /^(\S+):\s+file format/.exec(line);
    const start = /^[0-9a-f]+ <(.+)>:$/.exec(line);
    const code = /^\s*([0-9a-f]+):\s+(?:\{\w+\}\s+)?(\S+)\s*(.*)$/.exec(line);
    if (object) objects.set(object[1], (functions = new Map()));
    else if (start) functions.set(start[1], (instructions = []));
    else if (code) instructions.push({ at: parseInt(code[1], 16), name: code[2], operands: code[3] });
  }
  return objects;
}

/** What is wrong with the loops of a kernel: a function of that name, or a template of that argument. */
function complaints(functions, expected) {
  const named = new RegExp(`(tile|block)<.*::${expected.kernel}[,>]|::${expected.kernel}\\(`);
  const loops = [...functions]
    .filter(([name]) => named.test(name))
    .flatMap(([, instructions]) => innermost(instructions))
    .filter(({ body }) => body.some(({ name }) => expected.multiply.test(name)));
  if (loops.length === 0) return [`no loop with ${expected.multiply}`];
  return loops.flatMap(({ body, frame }) => {
    const count = (test) => body.filter(test).length;
    const limits = [
      ['multiplies', count(({ name }) => expected.multiply.test(name)), expected.multiplies, true],
      ['tile loads', count(({ name }) => name === 'tileloadd'), expected.loads ?? 0, true],
      ['accesses to the stack', count(({ operands }) => frame.test(operands)), expected.stack ?? 0],
      ['moves between registers', count(isMove), expected.moves ?? 0],
      ['broadcasts', count(isBroadcast), expected.broadcasts],
      ['calls', count(({ name }) => name.startsWith('call')), 0],
    ];
    return limits
      .filter(([, found, limit, exact]) => (exact ? found !== limit : found > limit))
      .map(([what, found, limit, exact]) => `${found} ${what}, not ${exact ? '' : 'at most '}${limit}`);
  });
}

function isMove({ name, operands }) {
  return /^vmov(ap[sd]|up[sd]|dq[au]\d*)$/.test(name) && /^%[xyz]mm\d+,%[xyz]mm\d+$/.test(operands);
}

function isBroadcast({ name, operands }) {
  return /^vp?broadcast/.test(name) || /\{1to\d+\}/.test(operands);
}

/** The innermost loops: from the target of a jump back to that jump, with no other such stretch inside. */
function innermost(instructions) {
  // Without a frame %rbp is a register like others.
  const framed = instructions.some(({ name, operands }) => name === 'mov' && operands === '%rsp,%rbp');
  const frame = framed ? /\(%r[sb]p/ : /\(%rsp/;
  const first = instructions[0]?.at ?? 0;
  const stretches = instructions
    .filter(({ name }) => name.startsWith('j'))
    .map(({ at, operands }) => ({ from: parseInt(operands, 16), to: at }))
    .filter(({ from, to }) => from >= first && from <= to);
  return stretches
    .filter(
      (one) => !stretches.some((other) => other !== one && other.from >= one.from && other.to <= one.to),
    )
    .map(({ from, to }) => ({ frame, body: instructions.filter(({ at }) => at >= from && at <= to) }));
}

/** Weak functions of a unit: the linker may keep this unit's copy for everybody, also where it cannot run. */
function shared(unit) {
  let object;
  const weak = [];
  for (const line of output('nm', ['-C', `${build}/libdmoerm_cpu.a`]).split('\n')) {
    object = /^(\S+):$/.exec(line)?.[1] ?? object;
    if (object === `${unit}.cpp.o` && / [Wu] /.test(line)) weak.push(line.trim());
  }
  return weak;
}

function output(command, args) {
  const run = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${run.stderr}`);
  return run.stdout;
}
