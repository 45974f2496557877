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

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  if (supports_avx512()) names.push_back("avx512");
  if (supports_avx2()) names.push_back("avx2");
  names.push_back("reference");
  return names;
}

const Ops& select_ops(const char* name) {
  const std::string wanted = name;
  if (wanted == "auto")
    return supports_avx512() ? avx512_ops() : supports_avx2() ? avx2_ops() : reference_ops();
  if (wanted == "reference") return reference_ops();
  if (wanted != "avx2" && wanted != "avx512")
    throw Error(Code::kInvalidArgument, "UNKNOWN_ISA", "isa",
                "unknown instruction set '" + wanted + "'; use auto, reference, avx2 or avx512");
  const bool wide = wanted == "avx512";
  if (!(wide ? supports_avx512() : supports_avx2()))
    throw Error(Code::kUnimplemented, "ISA_NOT_SUPPORTED", "isa",
                "this processor has no " + wanted + "; use auto");
  return wide ? avx512_ops() : avx2_ops();
}

}  // namespace dmoerm
