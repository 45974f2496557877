// AVX-512 unit (F, BW, DQ, VL). Compiled with those flags for this file only; entered only where
// the machine has them.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

struct V {
  using Reg = __m512;
  static constexpr int64_t kWidth = 16;
  static constexpr int kTileRows = 12;
  static constexpr int kTileVectors = 2;

  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static Reg load_bf16(const uint16_t* p) {
    const __m512i wide =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
  static Reg set1(float x) { return _mm512_set1_ps(x); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static Reg min(Reg a, Reg b) { return _mm512_min_ps(a, b); }
  static Reg floor(Reg a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  static Reg scale2(Reg x, Reg n) { return _mm512_scalef_ps(x, n); }
  static float sum(Reg x) {
    alignas(64) float lanes[16];
    _mm512_store_ps(lanes, x);
    float total = 0.0f;
    for (const float lane : lanes) total += lane;
    return total;
  }
  static float max_lane(Reg x) {
    alignas(64) float lanes[16];
    _mm512_store_ps(lanes, x);
    return *std::max_element(lanes, lanes + 16);
  }
};

#include "kernels.inc"

}  // namespace

const Ops& avx512_ops() {
  static const Ops ops{"avx512", cpu::pack_matrix, cpu::pack_rows, linear,
                       rms_norm, cpu::rope,        attention,      silu_mul};
  return ops;
}

}  // namespace dmoerm
