// AVX-512 unit (F, BW, DQ, VL). Compiled with those flags for this file only; entered only where
// the machine has them.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

#define DMOERM_BF16_DOT 0
#include "avx512.inc"
#include "kernels.inc"

}  // namespace

const Ops& avx512_ops() {
  static const Ops ops{"avx512", cpu::pack_matrix, cpu::pack_rows, linear,
                       rms_norm, cpu::rope,        attention,      silu_mul};
  return ops;
}

}  // namespace dmoerm
