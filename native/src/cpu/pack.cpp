// Packing: memory movement, plain for every layout. AVX-512 units have their own `pack_rows`.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "units.h"

namespace dmoerm::cpu {
namespace {

/// The 8-bit form of a row or column: x[k] / scale to the nearest, in [-127, 127].
float int8_scale(const float* x, int64_t K) {
  float largest = 0.0f;
  for (int64_t k = 0; k < K; ++k) largest = std::max(largest, std::abs(x[k]));
  return largest / 127.0f;
}

/// NaN and infinity make the scale NaN or infinite, so they reach the product through it.
int to_int8(float x, float inverse) {
  const float scaled = x * inverse;
  return std::isfinite(scaled) ? static_cast<int>(std::nearbyint(scaled)) : 0;
}

uint32_t float_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

void pack_int8_panel(uint8_t* panel, const float* weight, int64_t first, int64_t N, int64_t K,
                     int64_t steps) {
  auto* quads = reinterpret_cast<int8_t*>(panel);
  auto* scales = reinterpret_cast<float*>(panel + steps * kPanelCols * 4);
  auto* corrections = reinterpret_cast<int32_t*>(scales + kPanelCols);
  std::memset(panel, 0, static_cast<size_t>(steps * kPanelCols * 4 + kPanelCols * 8));
  std::vector<float> row(K);
  for (int64_t c = 0; c < std::min(kPanelCols, N - first); ++c) {
    std::copy(weight + (first + c) * K, weight + (first + c + 1) * K, row.begin());
    rotate(row.data(), K);
    const float scale = int8_scale(row.data(), K);
    scales[c] = scale / static_cast<float>(rotation_block(K));
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    int32_t sum = 0;
    for (int64_t k = 0; k < K; ++k) {
      const int value = to_int8(row[k], inverse);
      quads[(k / 4 * kPanelCols + c) * 4 + k % 4] = static_cast<int8_t>(value);
      sum += value;
    }
    corrections[c] = 128 * sum;
  }
}

}  // namespace

int64_t step_inputs(const Layout& layout, WeightType type) {
  if (type == WeightType::kInt8) return 4;
  return type != WeightType::kF32 && layout.bf16_pairs ? 2 : 1;
}

int64_t step_count(const Layout& layout, WeightType type, int64_t K) {
  const int64_t inputs = step_inputs(layout, type);
  const int64_t steps = (K + inputs - 1) / inputs;
  return (steps + layout.step_multiple - 1) / layout.step_multiple * layout.step_multiple;
}

int64_t weight_panel_bytes(const Layout& layout, WeightType type, int64_t K) {
  const int64_t steps = step_count(layout, type, K);
  if (type == WeightType::kInt8) return steps * kPanelCols * 4 + kPanelCols * 8;
  return steps * kPanelCols * (type == WeightType::kBF16 && !layout.bf16_pairs ? 2 : 4);
}

WeightType weights_for(RowType type) {
  if (type == RowType::kInt8) return WeightType::kInt8;
  return type == RowType::kBF16 ? WeightType::kBF16 : WeightType::kF32;
}

RowType rows_for(const Layout& layout, WeightType type) {
  if (type == WeightType::kInt8) return RowType::kInt8;
  return type != WeightType::kF32 && layout.bf16_pairs ? RowType::kBF16 : RowType::kF32;
}

int64_t row_panel_bytes(const Layout& layout, RowType type, int64_t K) {
  return step_count(layout, weights_for(type), K) * layout.rows * 4;
}

uint16_t to_bf16(float value) {
  const uint32_t bits = float_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

float from_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

void reserve_matrix(Matrix& out, int64_t N, int64_t K, WeightType type, const Layout& layout) {
  out.type = type;
  out.N = N;
  out.K = K;
  out.bytes = (N + kPanelCols - 1) / kPanelCols * weight_panel_bytes(layout, type, K);
  out.owned.reserve(out.bytes);
  out.data = out.owned.data();
}

void pack_matrix(Matrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 const Layout& layout, ThreadPool& pool) {
  reserve_matrix(out, N, K, type, layout);
  const int64_t panels = (N + kPanelCols - 1) / kPanelCols;
  const int64_t steps = step_count(layout, type, K);
  const int64_t panel_bytes = weight_panel_bytes(layout, type, K);
  const bool pairs = type == WeightType::kBF16 && layout.bf16_pairs;
  pool.run(panels, [&](int64_t p, int) {
    uint8_t* panel = out.owned.data() + p * panel_bytes;
    const int64_t first = p * kPanelCols;
    if (type == WeightType::kInt8) return pack_int8_panel(panel, weight, first, N, K, steps);
    const int64_t inputs = steps * (pairs ? 2 : 1);
    for (int64_t c = 0; c < kPanelCols; ++c)
      for (int64_t k = 0; k < inputs; ++k) {
        const float value = first + c < N && k < K ? weight[(first + c) * K + k] : 0.0f;
        if (type == WeightType::kF32)
          reinterpret_cast<float*>(panel)[k * kPanelCols + c] = value;
        else if (pairs)
          reinterpret_cast<uint16_t*>(panel)[(k / 2 * kPanelCols + c) * 2 + k % 2] = to_bf16(value);
        else
          reinterpret_cast<uint16_t*>(panel)[k * kPanelCols + c] = to_bf16(value);
      }
  });
}

void reserve_rows(PackedRows& out, RowType type, int64_t K, int64_t begin, int64_t end,
                  const Layout& layout) {
  out.type = type;
  out.K = K;
  out.first = begin;
  // A few elements of room for vector stores that run over a panel's end.
  out.data.reserve((end - begin) * row_panel_bytes(layout, type, K) + 64);
  if (type == RowType::kInt8) out.scales.reserve((end - begin) * layout.rows + 16);
}

void pack_rows(PackedRows& out, RowType type, const float* x, int64_t K,
               const std::vector<Panel>& panels, int64_t begin, int64_t end, const RmsNorm& norm,
               const Layout& layout, ThreadPool& pool) {
  reserve_rows(out, type, K, begin, end, layout);
  const int64_t steps = step_count(layout, weights_for(type), K);
  const int64_t bytes = row_panel_bytes(layout, type, K);
  pool.run(end - begin, [&](int64_t i, int) {
    const Panel& panel = panels[begin + i];
    uint8_t* to = out.data.data() + i * bytes;
    std::memset(to, 0, static_cast<size_t>(bytes));
    std::vector<float> row(K);
    for (int64_t r = 0; r < layout.rows; ++r) {
      if (type == RowType::kInt8) out.scales[i * layout.rows + r] = 0.0f;
      if (r >= panel.count) continue;
      const float* from = x + (panel.row + r) * K;
      std::copy(from, from + K, row.begin());
      if (norm.weight != nullptr) {
        float squares = 0.0f;
        for (const float value : row) squares += value * value;
        const float scale = 1.0f / std::sqrt(squares / static_cast<float>(K) + norm.eps);
        for (int64_t k = 0; k < K; ++k) row[k] = row[k] * scale * norm.weight[k];
      }
      const auto element = [&](int64_t s) -> uint8_t* {
        return to + (((s / layout.run) * layout.rows + r) * layout.run + s % layout.run) * 4;
      };
      if (type == RowType::kInt8) {
        rotate(row.data(), K);
        float scale = int8_scale(row.data(), K);
        for (const float value : row)
          if (!std::isfinite(value)) scale = NAN;
        const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
        out.scales[i * layout.rows + r] = scale;
        for (int64_t k = 0; k < steps * 4; ++k)
          element(k / 4)[k % 4] =
              static_cast<uint8_t>(128 + (k < K ? to_int8(row[k], inverse) : 0));
      } else {
        for (int64_t k = 0; k < K; ++k)
          if (type == RowType::kF32)
            std::memcpy(element(k), &row[k], 4);
          else
            reinterpret_cast<uint16_t*>(element(k / 2))[k % 2] = to_bf16(row[k]);
      }
    }
  });
}

int64_t rotation_block(int64_t K) {
  int64_t block = 1;
  while (block < kMostRotated && K % (2 * block) == 0) block *= 2;
  return block;
}

const float* rotation_signs() {
  static const std::array<float, kMostRotated> signs = [] {
    std::array<float, kMostRotated> all{};
    uint32_t state = 1;
    for (float& sign : all) {
      state = state * 1664525u + 1013904223u;
      sign = (state >> 31) != 0 ? -1.0f : 1.0f;
    }
    return all;
  }();
  return signs.data();
}

void rotate(float* x, int64_t K) {
  const int64_t block = rotation_block(K);
  if (block == 1) return;
  const float* signs = rotation_signs();
  for (float* at = x; at < x + K; at += block) {
    for (int64_t i = 0; i < block; ++i) at[i] *= signs[i];
    const auto step = [&](int64_t h) {
      for (int64_t i = 0; i < block; i += 2 * h)
        for (int64_t j = i; j < i + h; ++j) {
          const float a = at[j];
          const float b = at[j + h];
          at[j] = a + b;
          at[j + h] = a - b;
        }
    };
    // Vector units add whole registers first: the same order gives the same bits.
    for (int64_t h = 16; h < block; h *= 2) step(h);
    for (int64_t h = 1; h < std::min<int64_t>(16, block); h *= 2) step(h);
  }
}

int64_t stored_row(const Matrix& w, int64_t n) {
  if (w.interleaved_head == 0) return n;
  const int64_t D = w.interleaved_head;
  const int64_t i = n % D;
  return n / D * D + (i < D / 2 ? 2 * i : 2 * (i - D / 2) + 1);
}

void rope(float* x, const int32_t* positions, const float* cosines, const float* sines, int64_t T,
          int64_t heads, int64_t head_dim, ThreadPool& pool) {
  const int64_t half = head_dim / 2;
  constexpr int64_t kRows = 16;
  pool.run((T + kRows - 1) / kRows, [&](int64_t task, int) {
    for (int64_t t = task * kRows; t < std::min(T, (task + 1) * kRows); ++t) {
      const float* __restrict__ c = cosines + positions[t] * half;
      const float* __restrict__ s = sines + positions[t] * half;
      for (int64_t h = 0; h < heads; ++h) {
        float* __restrict__ low = x + (t * heads + h) * head_dim;
        float* __restrict__ high = low + half;
        for (int64_t i = 0; i < half; ++i) {
          const float a = low[i];
          const float b = high[i];
          low[i] = a * c[i] - b * s[i];
          high[i] = b * c[i] + a * s[i];
        }
      }
    }
  });
}

}  // namespace dmoerm::cpu
