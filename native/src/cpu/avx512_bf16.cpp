// AVX-512 unit with bfloat16 dot products (F, BW, DQ, VL, BF16). Compiled with those flags for this file only; entered only where
// the machine has them.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

#define DMOERM_BF16_DOT 1
#include "avx512.inc"
#include "kernels.inc"

/// Pairs of inputs; an odd K gets a 0.
int64_t pairs(int64_t K) { return (K + 1) / 2; }

uint32_t pair(const float* x, int64_t k, int64_t K) {
  const uint32_t low = cpu::to_bf16(x[2 * k]);
  const uint32_t high = 2 * k + 1 < K ? cpu::to_bf16(x[2 * k + 1]) : 0;
  return low | high << 16;
}

void pack_matrix(PackedMatrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 ThreadPool& pool) {
  if (type != WeightType::kBF16) return cpu::pack_matrix(out, weight, N, K, type, pool);
  out.type = type;
  out.N = N;
  out.K = K;
  const int64_t panels = (N + kPanelCols - 1) / kPanelCols;
  const int64_t count = pairs(K);
  out.data.reserve(panels * kPanelCols * count * 4);
  pool.run(panels, [&](int64_t panel, int) {
    auto* to = reinterpret_cast<uint32_t*>(out.data.data()) + panel * kPanelCols * count;
    const int64_t first = panel * kPanelCols;
    for (int64_t k = 0; k < count; ++k)
      for (int64_t c = 0; c < kPanelCols; ++c)
        to[k * kPanelCols + c] = first + c < N ? pair(weight + (first + c) * K, k, K) : 0;
  });
}

void pack_rows(PackedRows& out, const float* x, int64_t K, const std::vector<RowGroup>& groups,
               WeightType type, ThreadPool& pool) {
  if (type != WeightType::kBF16) return cpu::pack_rows(out, x, K, groups, type, pool);
  const int64_t count = pairs(K);
  cpu::plan_panels(out, K, groups, type, count * 4);
  pool.run(static_cast<int64_t>(out.panels.size()), [&](int64_t p, int) {
    const RowPanel& panel = out.panels[p];
    auto* to = reinterpret_cast<uint32_t*>(out.data.data()) + p * kPanelRows * count;
    // A stretch of every row is rounded into a block that stays in the first-level cache, then
    // turned round.
    constexpr int64_t kStretch = 64;
    alignas(64) uint32_t block[kPanelRows][kStretch] = {};
    for (int64_t first = 0; first < count; first += kStretch) {
      const int64_t width = std::min(kStretch, count - first);
      for (int64_t r = 0; r < panel.count; ++r) {
        const float* row = x + (panel.row + r) * K;
        int64_t k = 0;
        for (; k + 16 <= width && 2 * (first + k + 16) <= K; k += 16) {
          const float* from = row + 2 * (first + k);
          _mm512_store_si512(&block[r][k], (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16),
                                                                        _mm512_loadu_ps(from)));
        }
        for (; k < width; ++k) block[r][k] = pair(row, first + k, K);
      }
      for (int64_t k = 0; k < width; ++k)
        for (int64_t r = 0; r < kPanelRows; ++r) to[(first + k) * kPanelRows + r] = block[r][k];
    }
  });
}

}  // namespace

const Ops& avx512_bf16_ops() {
  static const Ops ops{"avx512_bf16", pack_matrix, pack_rows, linear,
                       rms_norm,      cpu::rope,   attention, silu_mul};
  return ops;
}

}  // namespace dmoerm
