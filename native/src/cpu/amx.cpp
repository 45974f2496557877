// AVX-512 unit with dot products of 8-bit integers and bfloat16, and tile products of both (F, BW, DQ, VL, VNNI,
// BF16; AMX: tile, int8, bf16). Compiled with the AVX-512 flags for this file only; entered only where the
// machine has all of them and the kernel lets this process use the tiles.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

#define DMOERM_INT8_DOT 1
#define DMOERM_BF16_DOT 1
#include "avx512.inc"
constexpr cpu::Layout kLayout{32, DMOERM_BF16_DOT, 16, 16};
// clang-format off: each needs the ones before it.
#include "amx_instructions.inc"
#include "tiles.inc"
#include "rows.inc"
#include "amx_panels.inc"
#include "blocks.inc"
#include "attention.inc"
// clang-format on

}  // namespace

const Ops& amx_ops() {
  static const Ops ops{"amx",        nullptr,        kLayout.rows, 32,          row_type,
                       matrix_bytes, pack_matrix,    pack_rows,    linear,      gated,
                       lora_down,    rms_norm,       cpu::rope,    attention,   reserve_key_values,
                       keep,         attention_over, cpu::embed,   cpu::gather, softmax_terms};
  return ops;
}

}  // namespace dmoerm
