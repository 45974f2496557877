// Plain loops over the formulas: the specification of GradientOps.

#include <algorithm>
#include <cmath>

#include "dmoerm/gradient_ops.h"
#include "training_rows.h"

namespace dmoerm {
namespace {

void rms_norm(float* dx, float* dweight, const float* dy, const float* x, const float* weight,
              int64_t T, int64_t C, float eps, Scratch&, ThreadPool&) {
  for (int64_t t = 0; t < T; ++t) {
    const float* row = x + t * C;
    float squares = 0;
    float dot = 0;
    for (int64_t c = 0; c < C; ++c) {
      squares += row[c] * row[c];
      dot += dy[t * C + c] * weight[c] * row[c];
    }
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(C) + eps);
    const float along = dot * scale * scale * scale / static_cast<float>(C);
    for (int64_t c = 0; c < C; ++c) {
      dx[t * C + c] += scale * weight[c] * dy[t * C + c] - along * row[c];
      if (dweight != nullptr) dweight[c] += dy[t * C + c] * row[c] * scale;
    }
  }
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

void gated(float* h, const float* gate, const float* up, int64_t T, int64_t F, ThreadPool&) {
  for (int64_t i = 0; i < T * F; ++i) h[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

void gated_backward(float* gate, float* up, const float* dh, int64_t T, int64_t F, ThreadPool&) {
  for (int64_t i = 0; i < T * F; ++i) {
    const float s = sigmoid(gate[i]);
    const float silu = gate[i] * s;
    gate[i] = dh[i] * up[i] * (s + silu * (1.0f - s));
    up[i] = dh[i] * silu;
  }
}

void attention(float* dq, float* dk, float* dv, const float* dout, const float* q, const float* k,
               const float* v, int64_t, int64_t, int64_t first_key,
               const std::vector<AttentionSegment>& segments, const AttentionShape& shape, Scratch&,
               ThreadPool&) {
  const int64_t D = shape.head_dim;
  const int64_t H = shape.heads;
  const int64_t G = shape.kv_heads;
  for (const AttentionSegment& segment : segments) {
    std::vector<int64_t> rows;  // of keys, by position
    for (const KvSpan& span : segment.spans)
      for (int64_t i = 0; i < span.count; ++i) rows.push_back(span.row + i);
    for (int64_t i = 0; i < segment.query_count; ++i)
      for (int64_t h = 0; h < H; ++h) {
        const int64_t at = ((segment.query_row + i) * H + h) * D;
        const int64_t end = segment.position + i + 1;
        const int64_t begin = shape.window > 0 ? std::max<int64_t>(0, end - shape.window) : 0;
        const auto head = [&](const float* x, int64_t j) {
          return x + (rows[j] * G + h / (H / G)) * D;
        };
        std::vector<float> p(end), dp(end);
        float most = -INFINITY;
        for (int64_t j = begin; j < end; ++j) {
          for (int64_t d = 0; d < D; ++d) {
            p[j] += q[at + d] * head(k, j)[d];
            dp[j] += dout[at + d] * head(v, j)[d];
          }
          most = std::max(most, p[j]);
        }
        float sum = 0;
        for (int64_t j = begin; j < end; ++j) sum += p[j] = std::exp(shape.scale * (p[j] - most));
        float mean = 0;
        for (int64_t j = begin; j < end; ++j) {
          p[j] /= sum;
          mean += p[j] * dp[j];
        }
        std::fill(dq + at, dq + at + D, 0.0f);
        for (int64_t j = begin; j < end; ++j) {
          const float ds = p[j] * (dp[j] - mean) * shape.scale;
          for (int64_t d = 0; d < D; ++d) dq[at + d] += ds * head(k, j)[d];
          if (rows[j] < first_key) continue;
          float* to_k = dk + (head(k, j) - k);
          float* to_v = dv + (head(v, j) - v);
          for (int64_t d = 0; d < D; ++d) {
            to_k[d] += ds * q[at + d];
            to_v[d] += p[j] * dout[at + d];
          }
        }
      }
  }
}

void outer(float* out, const float* a, int64_t a_stride, int64_t M, const float* b,
           int64_t b_stride, int64_t N, int64_t T, ThreadPool&) {
  for (int64_t t = 0; t < T; ++t)
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n) out[m * N + n] += a[t * a_stride + m] * b[t * b_stride + n];
}

void transpose(float* to, const float* from, int64_t T, int64_t N, ThreadPool&) {
  for (int64_t t = 0; t < T; ++t)
    for (int64_t n = 0; n < N; ++n) to[n * T + t] = from[t * N + n];
}

void adam(float* w, float* m, float* v, const float* g, float scale, int64_t count,
          const AdamStep& s, ThreadPool&) {
  const auto steps = static_cast<double>(s.step);
  const auto first =
      static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(s.beta1), steps)));
  const auto second =
      static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(s.beta2), steps)));
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = scale * g[i];
    m[i] = s.beta1 * m[i] + (1.0f - s.beta1) * gradient;
    v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * gradient * gradient;
    w[i] -= s.learning_rate * s.decay * w[i];
    w[i] -= s.learning_rate * (m[i] * first) / (std::sqrt(v[i] * second) + s.eps);
  }
}

}  // namespace

const GradientOps& reference_gradients() {
  static const GradientOps ops{
      "reference",  rms_norm,      gated,     gated_backward,   attention,
      outer,        cpu::sum_rows, transpose, cpu::scatter_add, cpu::drop_out,
      cpu::clear,   cpu::copy,     cpu::add,  cpu::scale,       cpu::token_logprobs,
      cpu::squares, adam};
  return ops;
}

}  // namespace dmoerm
