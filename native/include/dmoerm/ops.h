#pragma once

// The op table: every numeric step of the engine, one signature each, implemented by every back end
// (plain loops, AVX2, AVX-512; CUDA behind the same signatures). `src/cpu/reference.cpp` is the
// specification.
//
// Dimension letters: T rows (tokens, flat, no padding), C channels, H query heads, G key/value
// heads, D head width, R LoRA rank; M, N, K inside a matrix product only.
//
// Every op computes a row from that row's own inputs in an order that does not depend on the other
// rows, their number, or the number of threads: rewards are reproducible to the bit because of
// this, so it is part of each op's contract.

#include <cstdint>
#include <string>
#include <vector>

#include "dmoerm/buffer.h"
#include "dmoerm/thread_pool.h"

namespace dmoerm {

/// Element type of packed weights in memory; products are always accumulated in float32. Units with
/// bfloat16 dot products round the rows that meet kBF16 weights to bfloat16 too; the others multiply
/// in float32.
enum class WeightType { kF32, kBF16 };

/// Rows per panel of packed activations and columns per panel of packed weights: the register tile
/// of the widest unit.
inline constexpr int64_t kPanelRows = 12;
inline constexpr int64_t kPanelCols = 32;

/// A weight matrix (N,K) in panels of `kPanelCols` outputs: panel p holds, for k = 0..K-1, the
/// weights of outputs 32p..32p+31 at input k; outputs beyond N are 0. Units with bfloat16 dot
/// products keep inputs 2k and 2k+1 of an output side by side; an odd K gets a 0.
struct PackedMatrix {
  WeightType type = WeightType::kF32;
  int64_t N = 0;
  int64_t K = 0;
  Buffer<uint8_t> data;

  bool empty() const { return N == 0; }
};

/// A run of rows with the same adapters.
struct RowGroup {
  int64_t begin = 0;  ///< first row
  int64_t count = 0;
};

/// One panel of packed rows.
struct RowPanel {
  int64_t row = 0;    ///< first row
  int64_t count = 0;  ///< 1..kPanelRows rows; the rest is 0
};

/// Activations (T,K) in panels of `kPanelRows` rows: panel p holds, for k = 0..K-1, the 12 rows'
/// values at k, in float32 or as the unit's bfloat16 pairs. No panel crosses a group's border, so a
/// product can be taken over one group alone.
struct PackedRows {
  int64_t K = 0;
  WeightType type = WeightType::kF32;  ///< of the weights that the rows are packed for
  std::vector<RowPanel> panels;
  std::vector<int64_t>
      group_panels;  ///< prefix sums (groups + 1): panels of group g are [g], [g+1]
  Buffer<uint8_t> data;
};

/// Rows of keys and values that a query sees, in the order of their positions.
struct KvSpan {
  int64_t row = 0;
  int64_t count = 0;
};

/// Query rows of one node of the forest. Their keys are the spans one after another, positions 0,
/// 1, 2, ...; query row i has position `position + i` and sees the keys at positions up to its own.
struct AttentionSegment {
  int64_t query_row = 0;
  int64_t query_count = 0;
  int64_t position = 0;
  std::vector<KvSpan> spans;
};

/// Sizes of an attention call.
struct AttentionShape {
  int64_t heads = 0;     ///< H
  int64_t kv_heads = 0;  ///< G, divides H
  int64_t head_dim = 0;  ///< D
  float scale = 1.0f;    ///< on the products of queries and keys
  int64_t window = 0;    ///< a row sees at most this many keys, its own included; 0: all
};

/// Scratch memory of attention, kept between calls so that steady state allocates nothing.
struct AttentionScratch {
  Buffer<float> keys;
  Buffer<float> values;
  std::vector<Buffer<float>> scores;  ///< one per thread
};

/// One back end.
struct Ops {
  const char* name;

  /// out <- weight (N,K) row-major, packed as out.type.
  void (*pack_matrix)(PackedMatrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                      ThreadPool& pool);

  /// out <- x (T,K) row-major, packed by groups, which are disjoint and ascending, for products with
  /// weights of `type`.
  void (*pack_rows)(PackedRows& out, const float* x, int64_t K, const std::vector<RowGroup>& groups,
                    WeightType type, ThreadPool& pool);

  /// y[row, n] = sum_k x[row, k] w[n, k] + bias[n], for the rows of panels [panel_begin,
  /// panel_end); added to what y holds if `accumulate`. y is (T,N) with row stride N; bias (N) may
  /// be null. The sum runs over k ascending, one fused multiply-add each (per pair of k in bfloat16).
  /// x must be packed for w's type.
  void (*linear)(float* y, const PackedRows& x, int64_t panel_begin, int64_t panel_end,
                 const PackedMatrix& w, const float* bias, bool accumulate, ThreadPool& pool);

  /// y[t, :] = x[t, :] / sqrt(mean(x[t, :]^2) + eps) * weight; x, y (T,C), may be the same.
  void (*rms_norm)(float* y, const float* x, const float* weight, int64_t T, int64_t C, float eps,
                   ThreadPool& pool);

  /// In place: rotates elements (i, i + D/2) of every head of x (T, heads*D) by the angle of its
  /// row's position. cosines, sines are (positions, D/2).
  void (*rope)(float* x, const int32_t* positions, const float* cosines, const float* sines,
               int64_t T, int64_t heads, int64_t head_dim, ThreadPool& pool);

  /// out (query rows, H*D) = softmax(scale q k^T) v over each segment's own keys. q (query rows,
  /// H*D); k, v (key rows, G*D).
  void (*attention)(float* out, const float* q, const float* k, const float* v, int64_t key_rows,
                    const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                    AttentionScratch& scratch, ThreadPool& pool);

  /// gate[t, c] = silu(gate[t, c]) * up[t, c]; (T,C).
  void (*silu_mul)(float* gate, const float* up, int64_t T, int64_t C, ThreadPool& pool);
};

/// Plain loops: the specification, and the fallback of machines without AVX2.
const Ops& reference_ops();
/// AVX2 + FMA unit; call it only where `supports_avx2()`.
const Ops& avx2_ops();
/// AVX-512 (F, BW, DQ, VL) unit; call it only where `supports_avx512()`.
const Ops& avx512_ops();
/// The same with bfloat16 dot products; call it only where `supports_avx512_bf16()`.
const Ops& avx512_bf16_ops();

bool supports_avx2();
bool supports_avx512();
bool supports_avx512_bf16();

/// Names of the units that this machine runs, the widest first; the last is "reference".
std::vector<std::string> instruction_sets();

/// The unit named "auto" (the widest this machine has, bfloat16 dot products only when named), "reference", "avx2", "avx512" or
/// "avx512_bf16".
/// Throws INVALID_ARGUMENT if unknown, UNIMPLEMENTED if this machine lacks it.
const Ops& select_ops(const char* name);

}  // namespace dmoerm
