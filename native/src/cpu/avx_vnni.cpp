// AVX2 + FMA unit with 8-bit dot products (AVX-VNNI). Compiled with those flags for this file only;
// entered only where the machine has them.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

#define DMOERM_INT8_DOT 1
#define DMOERM_BF16_DOT 0
#include "avx2.inc"
constexpr cpu::Layout kLayout{12, DMOERM_BF16_DOT, 1, 1};
#include "vector_unit.inc"

}  // namespace

const Ops& avx_vnni_ops() {
  static const Ops ops{"avx_vnni",   nullptr,        kLayout.rows, 2,           row_type,
                       matrix_bytes, pack_matrix,    pack_rows,    linear,      gated,
                       lora_down,    rms_norm,       cpu::rope,    attention,   reserve_key_values,
                       keep,         attention_over, cpu::embed,   cpu::gather, softmax_terms};
  return ops;
}

}  // namespace dmoerm
