// The specification: plain loops, one row at a time. Every other unit must agree with it.

#include <algorithm>
#include <cmath>
#include <vector>

#include "units.h"

namespace dmoerm {
namespace {

float weight_at(const PackedMatrix& w, int64_t n, int64_t k) {
  const int64_t at = (n / kPanelCols * w.K + k) * kPanelCols + n % kPanelCols;
  if (w.type == WeightType::kF32) return reinterpret_cast<const float*>(w.data.data())[at];
  return cpu::from_bf16(reinterpret_cast<const uint16_t*>(w.data.data())[at]);
}

void linear(float* y, const PackedRows& x, int64_t panel_begin, int64_t panel_end,
            const PackedMatrix& w, const float* bias, bool accumulate, ThreadPool& pool) {
  pool.run(panel_end - panel_begin, [&](int64_t i, int) {
    const RowPanel& panel = x.panels[panel_begin + i];
    const float* packed =
        reinterpret_cast<const float*>(x.data.data()) + (panel_begin + i) * kPanelRows * x.K;
    for (int64_t r = 0; r < panel.count; ++r) {
      float* row = y + (panel.row + r) * w.N;
      for (int64_t n = 0; n < w.N; ++n) {
        float sum = 0.0f;
        for (int64_t k = 0; k < w.K; ++k)
          sum = std::fma(packed[k * kPanelRows + r], weight_at(w, n, k), sum);
        if (bias != nullptr) sum += bias[n];
        row[n] = accumulate ? row[n] + sum : sum;
      }
    }
  });
}

void rms_norm(float* y, const float* x, const float* weight, int64_t T, int64_t C, float eps,
              ThreadPool& pool) {
  pool.run(T, [&](int64_t t, int) {
    const float* row = x + t * C;
    float squares = 0.0f;
    for (int64_t c = 0; c < C; ++c) squares += row[c] * row[c];
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(C) + eps);
    for (int64_t c = 0; c < C; ++c) y[t * C + c] = row[c] * scale * weight[c];
  });
}

void attention(float* out, const float* q, const float* k, const float* v,
               int64_t,  // key_rows: sizes no loop here
               const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
               AttentionScratch&, ThreadPool& pool) {
  const int64_t D = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  pool.run(static_cast<int64_t>(segments.size()) * shape.heads, [&](int64_t task, int) {
    const AttentionSegment& segment = segments[task / shape.heads];
    const int64_t h = task % shape.heads;
    const int64_t g = h / group;
    std::vector<int64_t> rows;
    for (const KvSpan& span : segment.spans)
      for (int64_t j = 0; j < span.count; ++j) rows.push_back(span.row + j);
    std::vector<float> p(rows.size());
    for (int64_t i = 0; i < segment.query_count; ++i) {
      const float* query = q + ((segment.query_row + i) * shape.heads + h) * D;
      float* result = out + ((segment.query_row + i) * shape.heads + h) * D;
      const int64_t end = segment.position + i + 1;
      const int64_t begin = shape.window > 0 ? std::max<int64_t>(0, end - shape.window) : 0;
      float largest = -INFINITY;
      for (int64_t j = begin; j < end; ++j) {
        const float* key = k + (rows[j] * shape.kv_heads + g) * D;
        float dot = 0.0f;
        for (int64_t c = 0; c < D; ++c) dot += query[c] * key[c];
        p[j] = dot * shape.scale;
        largest = std::max(largest, p[j]);
      }
      float sum = 0.0f;
      for (int64_t j = begin; j < end; ++j) sum += p[j] = std::exp(p[j] - largest);
      std::fill(result, result + D, 0.0f);
      for (int64_t j = begin; j < end; ++j) {
        const float* value = v + (rows[j] * shape.kv_heads + g) * D;
        for (int64_t c = 0; c < D; ++c) result[c] += p[j] * value[c];
      }
      for (int64_t c = 0; c < D; ++c) result[c] /= sum;
    }
  });
}

void silu_mul(float* gate, const float* up, int64_t T, int64_t C, ThreadPool& pool) {
  pool.run(T, [&](int64_t t, int) {
    for (int64_t c = t * C; c < (t + 1) * C; ++c)
      gate[c] = gate[c] / (1.0f + std::exp(-gate[c])) * up[c];
  });
}

}  // namespace

const Ops& reference_ops() {
  static const Ops ops{"reference", cpu::pack_matrix, cpu::pack_rows, linear,
                       rms_norm,    cpu::rope,        attention,      silu_mul};
  return ops;
}

}  // namespace dmoerm
