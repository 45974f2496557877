#include <algorithm>
#include <cstring>

#include "units.h"

namespace dmoerm::cpu {

uint16_t to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

float from_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

void pack_matrix(PackedMatrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 ThreadPool& pool) {
  out.type = type;
  out.N = N;
  out.K = K;
  const int64_t panels = (N + kPanelCols - 1) / kPanelCols;
  const int64_t element = type == WeightType::kF32 ? 4 : 2;
  out.data.reserve(panels * kPanelCols * K * element);
  pool.run(panels, [&](int64_t panel, int) {
    const int64_t first = panel * kPanelCols;
    for (int64_t k = 0; k < K; ++k) {
      for (int64_t c = 0; c < kPanelCols; ++c) {
        const float value = first + c < N ? weight[(first + c) * K + k] : 0.0f;
        const int64_t at = (panel * K + k) * kPanelCols + c;
        if (type == WeightType::kF32)
          reinterpret_cast<float*>(out.data.data())[at] = value;
        else
          reinterpret_cast<uint16_t*>(out.data.data())[at] = to_bf16(value);
      }
    }
  });
}

void plan_panels(PackedRows& out, int64_t K, const std::vector<RowGroup>& groups, WeightType type,
                 int64_t bytes_per_row) {
  out.K = K;
  out.type = type;
  out.panels.clear();
  out.group_panels.assign(1, 0);
  for (const RowGroup& group : groups) {
    for (int64_t row = 0; row < group.count; row += kPanelRows)
      out.panels.push_back({group.begin + row, std::min(kPanelRows, group.count - row)});
    out.group_panels.push_back(static_cast<int64_t>(out.panels.size()));
  }
  out.data.reserve(static_cast<int64_t>(out.panels.size()) * kPanelRows * bytes_per_row);
}

void pack_rows(PackedRows& out, const float* x, int64_t K, const std::vector<RowGroup>& groups,
               WeightType type, ThreadPool& pool) {
  plan_panels(out, K, groups, type, K * 4);
  pool.run(static_cast<int64_t>(out.panels.size()), [&](int64_t p, int) {
    const RowPanel& panel = out.panels[p];
    float* to = reinterpret_cast<float*>(out.data.data()) + p * kPanelRows * K;
    // Rows beyond the panel read its first row and are cleared below: the loop stays free of
    // branches.
    const float* rows[kPanelRows];
    for (int64_t r = 0; r < kPanelRows; ++r)
      rows[r] = x + (panel.row + (r < panel.count ? r : 0)) * K;
    for (int64_t k = 0; k < K; ++k)
      for (int64_t r = 0; r < kPanelRows; ++r) to[k * kPanelRows + r] = rows[r][k];
    for (int64_t r = panel.count; r < kPanelRows; ++r)
      for (int64_t k = 0; k < K; ++k) to[k * kPanelRows + r] = 0.0f;
  });
}

void rope(float* x, const int32_t* positions, const float* cosines, const float* sines, int64_t T,
          int64_t heads, int64_t head_dim, ThreadPool& pool) {
  const int64_t half = head_dim / 2;
  pool.run(T, [&](int64_t t, int) {
    const float* c = cosines + positions[t] * half;
    const float* s = sines + positions[t] * half;
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x + (t * heads + h) * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const float low = head[i];
        const float high = head[i + half];
        head[i] = low * c[i] - high * s[i];
        head[i + half] = high * c[i] + low * s[i];
      }
    }
  });
}

}  // namespace dmoerm::cpu
