// AVX2 + FMA unit. Compiled with those flags for this file only; entered only where the machine has
// them.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

struct V {
  using Reg = __m256;
  static constexpr int64_t kWidth = 8;
  static constexpr int kTileRows = 6;
  static constexpr int kTileVectors = 2;

  static constexpr bool kBf16Dot = false;

  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static Reg load_bf16(const uint16_t* p) {
    const __m256i wide =
        _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
  static Reg set1(float x) { return _mm256_set1_ps(x); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static Reg min(Reg a, Reg b) { return _mm256_min_ps(a, b); }
  static Reg floor(Reg a) { return _mm256_floor_ps(a); }
  static Reg scale2(Reg x, Reg n) {
    const __m256i exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(x, _mm256_castsi256_ps(exponent));
  }
  static float sum(Reg x) {
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, x);
    float total = 0.0f;
    for (const float lane : lanes) total += lane;
    return total;
  }
  static float max_lane(Reg x) {
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, x);
    return *std::max_element(lanes, lanes + 8);
  }
};

#define DMOERM_BF16_DOT 0
#include "kernels.inc"

}  // namespace

const Ops& avx2_ops() {
  static const Ops ops{"avx2",   cpu::pack_matrix, cpu::pack_rows, linear,
                       rms_norm, cpu::rope,        attention,      silu_mul};
  return ops;
}

}  // namespace dmoerm
