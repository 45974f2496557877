#include "emulated/traps.h"

#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>

#include "emulated/amx.h"

namespace dmoerm::emulated {
namespace {

/// An instruction with a three-byte VEX prefix, as far as those below need it.
struct Instruction {
  bool known = false;  ///< has such a prefix and an operand that is decoded here
  int map = 0;         ///< opcode map; 2 is 0F 38
  int prefix = 0;      ///< 0: none, 1: 66, 2: F3, 3: F2
  bool wide = false;   ///< W
  bool ymm = false;    ///< L
  int opcode = 0;
  int reg = 0;          ///< ModRM.reg
  int vvvv = 0;         ///< the second source
  int rm = -1;          ///< ModRM.rm if it names a register
  int64_t address = 0;  ///< else base + displacement
  int64_t stride = 0;   ///< and index * scale
  bool has_index = false;
  int length = 0;
};

int64_t general_register(const ucontext_t& context, int number) {
  constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[kOrder[number]];
}

Instruction decode(const ucontext_t& context) {
  const auto* code = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  Instruction out;
  if (code[0] != 0xc4) return out;
  const bool r = (code[1] & 0x80) == 0, x = (code[1] & 0x40) == 0, b = (code[1] & 0x20) == 0;
  out.map = code[1] & 31;
  out.wide = (code[2] & 0x80) != 0;
  out.vvvv = ~code[2] >> 3 & 15;
  out.ymm = (code[2] & 4) != 0;
  out.prefix = code[2] & 3;
  out.opcode = code[3];
  const int mod = code[4] >> 6;
  const int low = code[4] & 7;
  out.reg = (code[4] >> 3 & 7) | r << 3;
  out.length = 5;
  out.known = true;
  if (mod == 3) {
    out.rm = low | b << 3;
    return out;
  }
  int base = low | b << 3;
  if (low == 4) {
    const int sib = code[out.length++];
    const int index = (sib >> 3 & 7) | x << 3;
    out.has_index = index != 4;
    if (out.has_index) out.stride = general_register(context, index) << (sib >> 6);
    base = (sib & 7) | b << 3;
  }
  if (mod == 0 && (base & 7) == 5) return {};  // relative to the instruction, or no base
  out.address = general_register(context, base);
  if (mod == 1) out.address += static_cast<int8_t>(code[out.length++]);
  if (mod == 2) {
    int32_t displacement;
    std::memcpy(&displacement, code + out.length, 4);
    out.address += displacement;
    out.length += 4;
  }
  return out;
}

/// True if the instruction was one of AMX's and is done.
bool run_tiles(const Instruction& i) {
  if (i.ymm || i.wide) return false;
  auto* const memory = reinterpret_cast<void*>(i.address);
  const int operation = i.opcode << 4 | i.prefix;
  const bool in_memory = i.rm < 0;
  if (in_memory) {
    if (operation == 0x490 && i.reg == 0)
      configure(memory);
    else if (operation == 0x4b3 && i.has_index)
      load(i.reg, memory, i.stride);
    else if (operation == 0x4b2 && i.has_index)
      store(i.reg, memory, i.stride);
    else
      return false;
  } else if (operation == 0x490 && i.reg == 0 && i.rm == 0) {
    release();
  } else if (operation == 0x493 && i.rm == 0) {
    zero(i.reg);
  } else if (operation == 0x5c2) {
    dot_pairs(i.reg, i.rm, i.vvvv);
  } else if (operation == 0x5e1) {
    dot_quads(i.reg, i.rm, i.vvvv);
  } else {
    return false;
  }
  return true;
}

/// The vector registers in a signal's frame, which are those of the interrupted thread when it goes on.
class VectorRegisters {
 public:
  explicit VectorRegisters(const ucontext_t& context)
      : frame_(reinterpret_cast<uint8_t*>(context.uc_mcontext.fpregs)) {}

  void read(int number, bool ymm, uint8_t* out) const {
    std::memset(out, 0, 32);
    if (saved(kSse)) std::memcpy(out, low(number), 16);
    if (ymm && saved(kAvx)) std::memcpy(out + 16, high(number), 16);
  }
  /// The rest of a wider register becomes 0, as a VEX prefix says.
  void write(int number, const uint8_t* value) {
    std::memcpy(low(number), value, 16);
    std::memcpy(high(number), value + 16, 16);
    if (saved(kZmm)) std::memset(frame_ + offset(kZmm) + 32 * number, 0, 32);
    *components() |= 1u << kSse | 1u << kAvx;
  }

 private:
  /// Components of the saved state by their numbers.
  static constexpr int kSse = 1, kAvx = 2, kZmm = 6;

  uint64_t* components() const { return reinterpret_cast<uint64_t*>(frame_ + 512); }
  /// A component that is not saved is 0.
  bool saved(int component) const { return (*components() >> component & 1) != 0; }
  static int64_t offset_of(int component) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    __cpuid_count(0xd, component, a, b, c, d);
    return b;
  }
  /// Asked once: under a hypervisor the instruction takes tens of microseconds.
  static int64_t offset(int component) {
    static const int64_t avx = offset_of(kAvx), zmm = offset_of(kZmm);
    return component == kAvx ? avx : zmm;
  }
  uint8_t* low(int number) const { return frame_ + 160 + 16 * number; }
  uint8_t* high(int number) const { return frame_ + offset(kAvx) + 16 * number; }

  uint8_t* frame_;
};

/// True if the instruction was vpdpbusd between registers and is done.
bool run_quads(const Instruction& i, const ucontext_t& context) {
  if (i.opcode != 0x50 || i.prefix != 1 || i.wide || i.rm < 0) return false;
  VectorRegisters registers(context);
  alignas(32) uint8_t sums[32], x[32], w[32];
  registers.read(i.reg, i.ymm, sums);
  registers.read(i.vvvv, i.ymm, x);
  registers.read(i.rm, i.ymm, w);
  for (int lane = 0; lane < 8; ++lane) {
    uint32_t sum;
    std::memcpy(&sum, sums + 4 * lane, 4);
    for (int k = 4 * lane; k < 4 * lane + 4; ++k)
      sum += static_cast<uint32_t>(x[k] * static_cast<int8_t>(w[k]));
    std::memcpy(sums + 4 * lane, &sum, 4);
  }
  registers.write(i.reg, sums);
  return true;
}

/// True if the instruction at the context's place was one of those here and is done.
bool step(ucontext_t& context) {
  const Instruction instruction = decode(context);
  if (!instruction.known || instruction.map != 2) return false;
  if (!run_tiles(instruction) && !run_quads(instruction, context)) return false;
  context.uc_mcontext.gregs[REG_RIP] += instruction.length;
  return true;
}

void answer(int signal, siginfo_t*, void* where) {
  auto& context = *static_cast<ucontext_t*>(where);
  if (!step(context)) {
    ::signal(signal, SIG_DFL);  // it traps again and ends the process
    return;
  }
  while (step(context)) {  // what follows would trap too
  }
}

}  // namespace

void catch_traps() {
  struct sigaction action{};
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, nullptr);
}

}  // namespace dmoerm::emulated
