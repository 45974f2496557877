// AVX2 + FMA unit. Compiled with those flags for this file only;
// entered only where the machine has them.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "dmoerm/gradient_ops.h"
#include "training_rows.h"
#include "units.h"

namespace dmoerm {
namespace {

#define DMOERM_INT8_DOT 0
#define DMOERM_BF16_DOT 0
#include "avx2.inc"
constexpr cpu::Layout kLayout{12, DMOERM_BF16_DOT, 1, 1};
#include "vector_unit.inc"
// clang-format off: after what it needs.
#include "gradients.inc"
// clang-format on

}  // namespace

const Ops& avx2_ops() {
  static const Ops ops{"avx2",       nullptr,        kLayout.rows, 2,           row_type,
                       matrix_bytes, pack_matrix,    pack_rows,    linear,      gated,
                       lora_down,    rms_norm,       cpu::rope,    attention,   reserve_key_values,
                       keep,         attention_over, cpu::embed,   cpu::gather, softmax_terms};
  return ops;
}

const GradientOps& avx2_gradients() {
  static const GradientOps ops = gradients_of_unit("avx2");
  return ops;
}

}  // namespace dmoerm
