#include <algorithm>
#include <chrono>
#include <string>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "dmoerm/error.h"
#include "dmoerm/gradient_ops.h"
#include "dmoerm/ops.h"

namespace dmoerm {

int64_t Scratch::bytes() const {
  int64_t floats = 0;
  for (const auto& buffer : threads) floats += buffer.capacity();
  return kept.bytes() + floats * static_cast<int64_t>(sizeof(float));
}

namespace {

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/// CPUID leaf 7, subleaf 1, EAX: g++ 12 has no name for AVX-VNNI.
bool has_avx_vnni() {
  uint32_t a = 7, b = 0, c = 1, d = 0;
  asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return has_avx2() && (a & (1u << 4)) != 0;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

bool has_avx512_bf16() { return has_avx512_vnni() && __builtin_cpu_supports("avx512bf16"); }

/// CPUID leaf 7, EDX: bits 22 (bfloat16), 24 (tiles), 25 (8 bits). XCR0: bits 17 and 18, the tiles' state, which the
/// kernel lets a process have that asks for it; asking again changes nothing.
bool has_amx() {
  if (!has_avx512_bf16()) return false;
  uint32_t a = 7, b = 0, c = 0, d = 0;
  asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  constexpr uint32_t kInstructions = 1u << 22 | 1u << 24 | 1u << 25;
  if ((d & kInstructions) != kInstructions) return false;
  uint32_t low = 0, high = 0;  // AVX-512 is there, so xgetbv is too
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t kState = 1u << 17 | 1u << 18;
  if ((low & kState) != kState) return false;
#ifdef __linux__
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, which old headers lack
  constexpr int kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

struct Unit {
  const char* name;
  bool (*supported)();
  const Ops& (*ops)();
  const GradientOps& (*gradients)();
};

/// The widest first.
constexpr Unit kUnits[] = {
    {"amx", has_amx, amx_ops, avx512_gradients},
    {"avx512_bf16", has_avx512_bf16, avx512_bf16_ops, avx512_gradients},
    {"avx512_vnni", has_avx512_vnni, avx512_vnni_ops, avx512_gradients},
    {"avx512", has_avx512, avx512_ops, avx512_gradients},
    {"avx_vnni", has_avx_vnni, avx_vnni_ops, avx2_gradients},
    {"avx2", has_avx2, avx2_ops, avx2_gradients},
    {"reference", [] { return true; }, reference_ops, reference_gradients},
};

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Unit& unit : kUnits)
    if (unit.supported()) names.emplace_back(unit.name);
  return names;
}

WeightType default_weight_type(const Ops& ops) {
  if (ops.row_type(WeightType::kBF16) != RowType::kBF16) return WeightType::kF32;
  // One product in both types, small enough to stay in the first-level cache. The ratio is about 2 where
  // the dot product runs at the rate of a multiply-add, about 1 where it takes two of them.
  constexpr int64_t kInputs = 256;
  ThreadPool pool(1);
  const std::vector<float> ones(kPanelCols * kInputs, 1.0f);
  const std::vector<Panel> panels{{0, ops.panel_rows, 0, 0}};
  std::vector<float> y(ops.panel_rows * kPanelCols);
  Scratch scratch;
  const auto shortest = [&](WeightType type) {
    PackedRows x;
    Matrix w;
    ops.pack_rows(x, ops.row_type(type), ones.data(), kInputs, panels, 0, 1, {}, scratch, pool);
    ops.pack_matrix(w, ones.data(), kPanelCols, kInputs, type, pool);
    const Product product{&panels, 0, 1, &x, &w, nullptr, kPanelCols, nullptr, nullptr};
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 50; ++i) {
      const auto start = std::chrono::steady_clock::now();
      for (int j = 0; j < 4; ++j) ops.linear(y.data(), product, false, scratch, pool);
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
    }
    return static_cast<double>(best.count());
  };
  return shortest(WeightType::kF32) > 1.3 * shortest(WeightType::kBF16) ? WeightType::kBF16
                                                                        : WeightType::kF32;
}

const Ops& select_ops(const char* name) {
  const std::string wanted = name;
  std::string known = "auto";
  for (const Unit& unit : kUnits) {
    if (wanted == unit.name && !unit.supported())
      throw Error(Code::kUnimplemented, "ISA_NOT_SUPPORTED", "isa",
                  "this processor has no " + wanted + "; use auto");
    if (unit.supported() && (wanted == unit.name || wanted == "auto")) return unit.ops();
    known += std::string(", ") + unit.name;
  }
  throw Error(Code::kInvalidArgument, "UNKNOWN_ISA", "isa",
              "unknown instruction set '" + wanted + "'; use one of " + known);
}

const GradientOps& gradients_for(const Ops& ops) {
  for (const Unit& unit : kUnits)
    if (&unit.ops() == &ops) return unit.gradients();
  return reference_gradients();
}

}  // namespace dmoerm
