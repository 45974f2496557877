#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/ops.h"

namespace dmoerm {

/// AdamW's settings of one step (Loshchilov and Hutter, arXiv 1711.05101).
struct AdamStep {
  float learning_rate = 0;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float eps = 1e-8f;
  float decay = 0;  ///< times the learning rate
  int64_t step = 1;
};

/// How a row's elements are left out: element k where MurmurHash3's finaliser of key + k * 0x9e3779b9 lies below
/// `threshold`; the others are `scale` times as large.
struct RowDropout {
  uint32_t key = 0;
  uint32_t threshold = 0;
  float scale = 1;
};

/// Derivatives of the ops in ops.h, and what else a training pass does to rows, in float32. `d x` is the derivative of the
/// loss by x. Every sum has a fixed order that depends neither on threads nor on rows of other groups. Operands lie where
/// those of `Ops` do: pointers in the memory of `pool`, vectors in the host's.
struct GradientOps {
  const char* name;

  /// dx += d rms_norm(x); dy, x (T,C), weight (C). dweight (C) += its sum over rows; may be null.
  void (*rms_norm)(float* dx, float* dweight, const float* dy, const float* x, const float* weight,
                   int64_t T, int64_t C, float eps, Scratch& scratch, ThreadPool& pool);

  /// h = silu(gate) * up, all (T,F).
  void (*gated)(float* h, const float* gate, const float* up, int64_t T, int64_t F,
                ThreadPool& pool);

  /// In place: gate and up become d gate and d up.
  void (*gated_backward)(float* gate, float* up, const float* dh, int64_t T, int64_t F,
                         ThreadPool& pool);

  /// d q (query rows, H*D) is written; dk, dv (key rows, G*D) are added to, from row `first_key` on, which may cut no
  /// span in two. Arguments as of Ops::attention. Segments that share a span at or after `first_key` must begin with the
  /// same one of those and follow one another.
  void (*attention)(float* dq, float* dk, float* dv, const float* dout, const float* q,
                    const float* k, const float* v, int64_t query_rows, int64_t key_rows,
                    int64_t first_key, const std::vector<AttentionSegment>& segments,
                    const AttentionShape& shape, Scratch& scratch, ThreadPool& pool);

  /// out (M,N) += sum over rows t of a[t,:]^T b[t,:]; a (T,M), b (T,N) with rows a_stride, b_stride apart.
  void (*outer)(float* out, const float* a, int64_t a_stride, int64_t M, const float* b,
                int64_t b_stride, int64_t N, int64_t T, ThreadPool& pool);

  /// out (N) += sum over rows of x (T,N)
  void (*sum_rows)(float* out, const float* x, int64_t T, int64_t N, ThreadPool& pool);

  /// to (N,T) <- from (T,N)
  void (*transpose)(float* to, const float* from, int64_t T, int64_t N, ThreadPool& pool);

  /// to[rows[i], :] += from[i, :], i ascending; `width` elements each, of `to_rows` rows.
  void (*scatter_add)(float* to, int64_t to_rows, const float* from,
                      const std::vector<int64_t>& rows, int64_t width, ThreadPool& pool);

  /// to (rows,K) <- from with elements left out, row by row.
  void (*drop_out)(float* to, const float* from, const std::vector<RowDropout>& rows, int64_t K,
                   ThreadPool& pool);

  void (*clear)(float* x, int64_t count, ThreadPool& pool);
  void (*copy)(float* to, const float* from, int64_t count, ThreadPool& pool);
  /// y += x
  void (*add)(float* y, const float* x, int64_t count, ThreadPool& pool);
  void (*scale)(float* x, float factor, int64_t count, ThreadPool& pool);

  /// ln softmax(logits[t, :])[targets[t]]; logits (T,V) become the derivatives of -weights[t] times that.
  std::vector<double> (*token_logprobs)(float* logits, int64_t V,
                                        const std::vector<int32_t>& targets,
                                        const std::vector<float>& weights, ThreadPool& pool);

  /// Sums of squares, in double, of x in blocks of kSquaresBlock elements.
  std::vector<double> (*squares)(const float* x, int64_t count, ThreadPool& pool);

  /// One step of AdamW on `count` parameters whose gradient is `scale` times g; m and v are its moments.
  void (*adam)(float* w, float* m, float* v, const float* g, float scale, int64_t count,
               const AdamStep& step, ThreadPool& pool);
};

inline constexpr int64_t kSquaresBlock = 1 << 14;

/// Plain loops: the specification.
const GradientOps& reference_gradients();
const GradientOps& avx2_gradients();
const GradientOps& avx512_gradients();

/// The derivatives for a unit of `select_ops`.
const GradientOps& gradients_for(const Ops& ops);

}  // namespace dmoerm
