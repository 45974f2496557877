// The specification: plain loops, one row at a time. Every other unit must agree with it.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "dmoerm/tensor.h"
#include "units.h"

namespace dmoerm {
namespace {

constexpr cpu::Layout kLayout{12, false, 1, 1};

RowType row_type(WeightType type) { return cpu::rows_for(kLayout, type); }

int64_t matrix_bytes(WeightType type, int64_t N, int64_t K) {
  return (N + kPanelCols - 1) / kPanelCols * cpu::weight_panel_bytes(kLayout, type, K);
}

void pack_matrix(Matrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 ThreadPool& pool) {
  cpu::pack_matrix(out, weight, N, K, type, kLayout, pool);
}

void pack_rows(PackedRows& out, RowType type, const float* x, int64_t K,
               const std::vector<Panel>& panels, int64_t begin, int64_t end, const RmsNorm& norm,
               Scratch&, ThreadPool& pool) {
  cpu::pack_rows(out, type, x, K, panels, begin, end, norm, kLayout, pool);
}

/// A row of a packed panel as float32, for kInt8 as integers without their scale.
std::vector<float> row_of(const PackedRows& x, int64_t panel, int64_t r) {
  const uint8_t* data =
      x.data.data() + (panel - x.first) * cpu::row_panel_bytes(kLayout, x.type, x.K);
  std::vector<float> row(x.K);
  for (int64_t k = 0; k < x.K; ++k) {
    if (x.type == RowType::kInt8)
      row[k] = static_cast<float>(data[(k / 4 * kLayout.rows + r) * 4 + k % 4]) - 128.0f;
    else
      row[k] = reinterpret_cast<const float*>(data)[k * kLayout.rows + r];
  }
  return row;
}

/// Output n's weights as float32, for kInt8 as integers without their scale.
std::vector<float> weights_of(const Matrix& w, int64_t n) {
  std::vector<float> row(w.K);
  if (w.type == WeightType::kStored) {
    const int64_t bytes = w.K / block_elements(w.stored) * block_bytes(w.stored);
    decode(row.data(), w.data + cpu::stored_row(w, n) * bytes, w.stored, w.K);
    return row;
  }
  const uint8_t* panel = w.data + n / kPanelCols * cpu::weight_panel_bytes(kLayout, w.type, w.K);
  const int64_t c = n % kPanelCols;
  for (int64_t k = 0; k < w.K; ++k) {
    if (w.type == WeightType::kF32)
      row[k] = reinterpret_cast<const float*>(panel)[k * kPanelCols + c];
    else if (w.type == WeightType::kBF16)
      row[k] = cpu::from_bf16(reinterpret_cast<const uint16_t*>(panel)[k * kPanelCols + c]);
    else
      row[k] = reinterpret_cast<const int8_t*>(panel)[(k / 4 * kPanelCols + c) * 4 + k % 4];
  }
  return row;
}

/// Scale of output n of a kInt8 matrix.
float scale_of(const Matrix& w, int64_t n) {
  const int64_t bytes = cpu::weight_panel_bytes(kLayout, w.type, w.K);
  const uint8_t* tail = w.data + (n / kPanelCols + 1) * bytes - kPanelCols * 8;
  return reinterpret_cast<const float*>(tail)[n % kPanelCols];
}

float dot(const std::vector<float>& x, const std::vector<float>& w, int64_t offset, float sum) {
  for (size_t k = 0; k < w.size(); ++k) sum = std::fma(x[offset + k], w[k], sum);
  return sum;
}

std::vector<std::vector<float>> rows_of(const PackedRows* x, int64_t panel, int64_t count) {
  std::vector<std::vector<float>> rows;
  for (int64_t r = 0; x != nullptr && r < count; ++r) rows.push_back(row_of(*x, panel, r));
  return rows;
}

/// A panel's rows of a product.
struct PanelProduct {
  PanelProduct(const Product& product, int64_t at)
      : p(product),
        index(at),
        panel((*p.panels)[index]),
        x(rows_of(p.x, panel.source, panel.count)),
        u(rows_of(p.u, index, panel.count)) {}

  /// Output n of each row, bias included.
  std::vector<float> outputs(int64_t n) const {
    std::vector<float> sums(panel.count, 0.0f);
    if (p.w != nullptr) {
      const std::vector<float> weights = weights_of(*p.w, n);
      for (int64_t r = 0; r < panel.count; ++r)
        sums[r] =
            p.w->type == WeightType::kInt8 ? int8_dot(weights, n, r) : dot(x[r], weights, 0, 0.0f);
    }
    const LoraUp up = p.lora == nullptr ? LoraUp{} : (*p.lora)[panel.group];
    if (up.b != nullptr) {
      const std::vector<float> weights = weights_of(*up.b, n);
      for (int64_t r = 0; r < panel.count; ++r) sums[r] = dot(u[r], weights, up.offset, sums[r]);
    }
    if (p.bias != nullptr)
      for (float& sum : sums) sum += p.bias[n];
    return sums;
  }

  float int8_dot(const std::vector<float>& weights, int64_t n, int64_t r) const {
    int32_t sum = 0;
    for (size_t k = 0; k < weights.size(); ++k)
      sum += static_cast<int32_t>(x[r][k]) * static_cast<int32_t>(weights[k]);
    return static_cast<float>(sum) *
           (p.x->scales[(panel.source - p.x->first) * kLayout.rows + r] * scale_of(*p.w, n));
  }

  const Product& p;
  const int64_t index;
  const Panel& panel;
  const std::vector<std::vector<float>> x, u;
};

void linear(float* y, const Product& p, bool accumulate, Scratch&, ThreadPool& pool) {
  pool.run(p.end - p.begin, [&](int64_t i, int) {
    const PanelProduct product(p, p.begin + i);
    for (int64_t n = 0; n < p.N; ++n) {
      const std::vector<float> values = product.outputs(n);
      for (int64_t r = 0; r < product.panel.count; ++r) {
        float& at = y[(product.panel.row + r) * p.N + n];
        at = accumulate ? at + values[r] : values[r];
      }
    }
  });
}

/// Columns of a packed panel as float32, in place.
float& packed_at(PackedRows& rows, int64_t panel, int64_t r, int64_t k) {
  uint8_t* data =
      rows.data.data() + (panel - rows.first) * cpu::row_panel_bytes(kLayout, rows.type, rows.K);
  return reinterpret_cast<float*>(data)[k * kLayout.rows + r];
}

void gated(PackedRows& packed, RowType type, float* rows, const Product& gate, const Product& up,
           Scratch&, ThreadPool& pool) {
  const int64_t F = gate.N;
  if (rows == nullptr) cpu::reserve_rows(packed, type, F, gate.begin, gate.end, kLayout);
  const int64_t first_row = gate.begin < gate.end ? (*gate.panels)[gate.begin].row : 0;
  pool.run(gate.end - gate.begin, [&](int64_t i, int) {
    const PanelProduct gates(gate, gate.begin + i);
    const PanelProduct ups(up, gate.begin + i);
    for (int64_t n = 0; n < F; ++n) {
      const std::vector<float> g = gates.outputs(n);
      const std::vector<float> u = ups.outputs(n);
      for (int64_t r = 0; r < gates.panel.count; ++r) {
        const float h = g[r] / (1.0f + std::exp(-g[r])) * u[r];
        if (rows == nullptr)
          packed_at(packed, gate.begin + i, r, n) = h;
        else
          rows[(gates.panel.row - first_row + r) * F + n] = h;
      }
    }
  });
}

void lora_down(PackedRows& u, const PackedRows& x, const std::vector<Panel>& panels, int64_t begin,
               int64_t end, const std::vector<const Matrix*>& a, ThreadPool& pool) {
  int64_t widest = 0;
  for (const Matrix* matrix : a)
    if (matrix != nullptr) widest = std::max(widest, matrix->N);
  cpu::reserve_rows(u, x.type, widest, begin, end, kLayout);
  pool.run(end - begin, [&](int64_t i, int) {
    const Panel& panel = panels[begin + i];
    const Matrix* matrix = a[panel.group];
    if (matrix == nullptr) return;
    const auto rows = rows_of(&x, panel.source, panel.count);
    for (int64_t n = 0; n < matrix->N; ++n) {
      const std::vector<float> weights = weights_of(*matrix, n);
      for (int64_t r = 0; r < panel.count; ++r)
        packed_at(u, begin + i, r, n) = dot(rows[r], weights, 0, 0.0f);
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

void attention_rows(float* out, const float* q, const float* k, const float* v,
                    const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                    ThreadPool& pool) {
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

void attention(float* out, const float* q, const float* k, const float* v,
               int64_t,  // key_rows: sizes no loop here
               const std::vector<AttentionSegment>& segments, const AttentionShape& shape, RowType,
               Scratch&, ThreadPool& pool) {
  attention_rows(out, q, k, v, segments, shape, pool);
}

void reserve_key_values(KeyValues& store, int64_t rows, const AttentionShape& shape, Memory&) {
  store.rows = rows;
  store.keys.reserve(rows * shape.kv_heads * shape.head_dim);
  store.values.reserve(rows * shape.kv_heads * shape.head_dim);
}

void keep(KeyValues& store, const float* k, const float* v, const std::vector<KvSpan>& to,
          const AttentionShape& shape, RowType, ThreadPool&) {
  const int64_t width = shape.kv_heads * shape.head_dim;
  int64_t from = 0;
  for (const KvSpan& span : to) {
    std::copy_n(k + from * width, span.count * width, store.keys.data() + span.row * width);
    std::copy_n(v + from * width, span.count * width, store.values.data() + span.row * width);
    from += span.count;
  }
}

void attention_over(float* out, const float* q, const KeyValues& kept,
                    const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                    RowType, Scratch&, ThreadPool& pool) {
  attention_rows(out, q, kept.keys.data(), kept.values.data(), segments, shape, pool);
}

void softmax_terms(float* out, const float* x, int64_t T, int64_t N, float scale,
                   ThreadPool& pool) {
  pool.run(T, [&](int64_t t, int) {
    const float* row = x + t * N;
    const float largest = *std::max_element(row, row + N);
    for (int64_t n = 0; n < N; ++n) out[t * N + n] = std::exp(scale * (row[n] - largest));
  });
}

}  // namespace

const Ops& reference_ops() {
  static const Ops ops{"reference",  nullptr,        kLayout.rows, 1,           row_type,
                       matrix_bytes, pack_matrix,    pack_rows,    linear,      gated,
                       lora_down,    rms_norm,       cpu::rope,    attention,   reserve_key_values,
                       keep,         attention_over, cpu::embed,   cpu::gather, softmax_terms};
  return ops;
}

}  // namespace dmoerm
