// Kernels for object_code.mjs: one that is as it should be, and one for each fault that it must see. Compiled with the
// flags of the AVX2 unit; never run.

#include <immintrin.h>

#include <cstdint>

namespace dmoerm::controls {
namespace {

/// Rows x 2 vectors of sums, as in tiles.inc; `extra` is called in the loop with a row's broadcast.
template <int kRows, class Extra>
inline __attribute__((always_inline)) void multiply(float* out, const float* x, const float* w,
                                                    int64_t steps, const Extra& extra) {
  __m256 sums[kRows][2];
#pragma GCC unroll 20
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < 2; ++c) sums[r][c] = _mm256_setzero_ps();
  for (int64_t s = 0; s < steps; ++s) {
    const __m256 weights[2] = {_mm256_loadu_ps(w), _mm256_loadu_ps(w + 8)};
#pragma GCC unroll 20
    for (int r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_set1_ps(x[r]);
#pragma GCC unroll 2
      for (int c = 0; c < 2; ++c) sums[r][c] = _mm256_fmadd_ps(value, weights[c], sums[r][c]);
    }
    extra();
    x += kRows;
    w += 16;
  }
#pragma GCC unroll 20
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < 2; ++c) _mm256_storeu_ps(out + (r * 2 + c) * 8, sums[r][c]);
}

}  // namespace

void other();

void sound_tile(float* out, const float* x, const float* w, int64_t steps) {
  multiply<4>(out, x, w, steps, [] {});
}

/// 40 sums in 16 registers.
void spilling_tile(float* out, const float* x, const float* w, int64_t steps) {
  multiply<20>(out, x, w, steps, [] {});
}

void moving_tile(float* out, const float* x, const float* w, int64_t steps) {
  multiply<4>(out, x, w, steps, [] { asm volatile("vmovaps %%ymm15, %%ymm14" : : : "xmm14"); });
}

void broadcasting_tile(float* out, const float* x, const float* w, int64_t steps) {
  multiply<4>(out, x, w, steps, [x] {
    asm volatile("vbroadcastss (%0), %%ymm15" : : "r"(x) : "xmm15");
  });
}

void calling_tile(float* out, const float* x, const float* w, int64_t steps) {
  multiply<4>(out, x, w, steps, [] { other(); });
}

}  // namespace dmoerm::controls
