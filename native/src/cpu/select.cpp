#include <string>

#include "dmoerm/error.h"
#include "dmoerm/ops.h"

namespace dmoerm {

bool supports_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool supports_avx512() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool supports_avx512_bf16() {
  __builtin_cpu_init();
  return supports_avx512() && __builtin_cpu_supports("avx512bf16");
}

namespace {

struct Unit {
  const char* name;
  bool (*supported)();
  const Ops& (*ops)();
  bool automatic;  ///< "auto" may choose it
};

/// The widest first. Bfloat16 dot products are not chosen unasked: not every processor that has them
/// is faster with them (ADR 5).
constexpr Unit kUnits[] = {
    {"avx512_bf16", supports_avx512_bf16, avx512_bf16_ops, false},
    {"avx512", supports_avx512, avx512_ops, true},
    {"avx2", supports_avx2, avx2_ops, true},
    {"reference", [] { return true; }, reference_ops, true},
};

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Unit& unit : kUnits)
    if (unit.supported()) names.emplace_back(unit.name);
  return names;
}

const Ops& select_ops(const char* name) {
  const std::string wanted = name;
  std::string known = "auto";
  for (const Unit& unit : kUnits) {
    if (wanted == unit.name && !unit.supported())
      throw Error(Code::kUnimplemented, "ISA_NOT_SUPPORTED", "isa",
                  "this processor has no " + wanted + "; use auto");
    if (unit.supported() && (wanted == unit.name || (wanted == "auto" && unit.automatic)))
      return unit.ops();
    known += std::string(", ") + unit.name;
  }
  throw Error(Code::kInvalidArgument, "UNKNOWN_ISA", "isa",
              "unknown instruction set '" + wanted + "'; use one of " + known);
}

}  // namespace dmoerm
