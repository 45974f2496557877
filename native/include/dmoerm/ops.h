#pragma once

// The op table: every numeric step of the engine, one signature each, implemented by every back end
// (plain loops, AVX2, AVX-512, AMX; CUDA behind the same signatures). `src/cpu/reference.cpp` is
// the specification.
//
// Dimension letters: T rows (tokens, flat, no padding), C channels, H query heads, G key/value
// heads, D head width, R LoRA rank, F width of the MLP; M, N, K inside a matrix product only.
//
// Every op computes a row from that row's own inputs in an order that does not depend on the other
// rows, their number, or the number of threads: rewards are reproducible to the bit because of
// this, so it is part of each op's contract.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dmoerm/buffer.h"
#include "dmoerm/tensor.h"
#include "dmoerm/thread_pool.h"

namespace dmoerm {

/// How a weight matrix is held in memory. Sums are float32 (int32 for kInt8) in every case.
enum class WeightType {
  kF32,
  kBF16,  ///< units with bfloat16 dot products round the rows that meet them too
  /// A scale per output; rows are rounded to 8 bits with a scale each. Both are rotated first (see
  /// `rotation_block`), which leaves their product as it is and spreads the few large inputs that a scale
  /// would otherwise have to make room for.
  kInt8,
  kStored  ///< the file's own elements, decoded panel by panel while multiplying
};

/// How rows are packed for products.
enum class RowType {
  kF32,
  kBF16,  ///< pairs of inputs
  kInt8   ///< quads of inputs, value + 128, a scale per row
};

/// kInt8: inputs are rotated in blocks of the largest power of two that divides K, at most this. A block x becomes
/// H (s x): s signs, H the Hadamard matrix.
inline constexpr int64_t kMostRotated = 256;

/// Columns per panel of packed weights.
inline constexpr int64_t kPanelCols = 32;

/// A weight matrix (N,K). All types but kStored lie in panels of `kPanelCols` outputs, inputs
/// ascending, in the layout of the unit that packed them; outputs beyond N are 0.
struct Matrix {
  WeightType type = WeightType::kF32;
  int64_t N = 0;
  int64_t K = 0;
  const uint8_t* data = nullptr;  ///< `owned`, or memory that outlives the matrix
  int64_t bytes = 0;
  Buffer<uint8_t> owned;
  TensorType stored = TensorType::kF32;  ///< kStored: type of the row-major elements
  int64_t interleaved_head = 0;  ///< kStored: head width if rows are in RoPE's paired order, else 0

  bool empty() const { return N == 0; }
};

/// A run of rows with the same adapters.
struct RowGroup {
  int64_t begin = 0;  ///< first row
  int64_t count = 0;
};

/// A few neighbouring rows of one group: the register tile's height. Panels are what products are
/// taken over; no panel crosses a group's border.
struct Panel {
  int64_t row = 0;    ///< first row
  int64_t count = 0;  ///< 1..Ops::panel_rows
  int64_t group = 0;
  int64_t source = 0;  ///< panel of the packed input that holds these rows
};

/// The panels of groups, each its own source.
inline std::vector<Panel> panels_of(const std::vector<RowGroup>& groups, int64_t panel_rows) {
  std::vector<Panel> panels;
  for (size_t g = 0; g < groups.size(); ++g)
    for (int64_t row = 0; row < groups[g].count; row += panel_rows)
      panels.push_back({groups[g].begin + row, std::min(panel_rows, groups[g].count - row),
                        static_cast<int64_t>(g), static_cast<int64_t>(panels.size())});
  return panels;
}

/// Activations (T,K) in panels of `Ops::panel_rows` rows, in the unit's layout; rows beyond a
/// panel's count mean nothing.
struct PackedRows {
  RowType type = RowType::kF32;
  int64_t K = 0;
  int64_t first = 0;  ///< the panel that lies at the start of `data`
  Buffer<uint8_t> data;
  Buffer<float> scales;  ///< kInt8: one per row of each panel
};

/// x -> x / sqrt(mean(x^2) + eps) * weight over a row.
struct RmsNorm {
  const float* weight = nullptr;  ///< (K); null: rows stay as they are
  float eps = 0;
};

/// The up half of LoRA on the rows of one group: y += u[:, offset:] b^T.
struct LoraUp {
  const Matrix* b = nullptr;  ///< (N,R), null for none
  int64_t offset = 0;         ///< first column of u, a multiple of Ops::lora_align
};

/// y = x w^T + bias + u b^T, for the rows of panels [begin, end).
struct Product {
  const std::vector<Panel>* panels = nullptr;
  int64_t begin = 0;
  int64_t end = 0;
  const PackedRows* x = nullptr;              ///< of the row type that w asks for; null without w
  const Matrix* w = nullptr;                  ///< null: low-rank terms only
  const float* bias = nullptr;                ///< (N) or null
  int64_t N = 0;                              ///< outputs
  const PackedRows* u = nullptr;              ///< as `lora_down` leaves it; null without adapters
  const std::vector<LoraUp>* lora = nullptr;  ///< by group; null without adapters
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

/// Keys and values of one layer, in the layout of the unit that kept them.
struct KeyValues {
  int64_t rows = 0;  ///< there is room for
  Buffer<float> keys;
  Buffer<float> values;

  int64_t bytes() const {
    return (keys.capacity() + values.capacity()) * static_cast<int64_t>(sizeof(float));
  }
};

/// Spans of kept rows that grow from call to call begin at multiples of this.
inline constexpr int64_t kKeptAlign = 16;

/// Memory that ops work in, kept between calls so that steady state allocates nothing.
struct Scratch {
  KeyValues kept;
  std::vector<Buffer<float>> threads;  ///< one per thread

  /// `count` floats for each thread of the pool.
  void reserve(const ThreadPool& pool, int64_t count) {
    if (static_cast<int>(threads.size()) < pool.size()) threads.resize(pool.size());
    for (auto& buffer : threads) buffer.reserve(count);
  }
  int64_t bytes() const;
};

/// One back end. Operands that are plain pointers or buffers lie in the memory of `pool`; those that are vectors, and
/// the positions and tokens of rows, lie in the host's.
struct Ops {
  const char* name;

  /// Opens a device, whose memory an engine's pool has; null: the host's memory.
  std::unique_ptr<Memory> (*open)();

  /// Rows per panel.
  int64_t panel_rows;

  /// `LoraUp::offset` is a multiple of this.
  int64_t lora_align;

  /// Row type that products with weights of `type` take.
  RowType (*row_type)(WeightType type);

  /// Bytes that `pack_matrix` makes of a matrix.
  int64_t (*matrix_bytes)(WeightType type, int64_t N, int64_t K);

  /// out <- weight (N,K) row-major, in the host's memory, packed as `type` (not kStored).
  void (*pack_matrix)(Matrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                      ThreadPool& pool);

  /// out <- rows of panels [begin, end) of x (T,K), normalised first if `norm` has a weight.
  void (*pack_rows)(PackedRows& out, RowType type, const float* x, int64_t K,
                    const std::vector<Panel>& panels, int64_t begin, int64_t end,
                    const RmsNorm& norm, Scratch& scratch, ThreadPool& pool);

  /// y[row, n] = sum_k x[row, k] w[n, k] + sum_r u[row, r] b[n, r] + bias[n] in this order, added to
  /// what y holds if `accumulate`; y is (T,N). Inputs ascend, one fused multiply-add each (per pair
  /// in bfloat16, per 32 inputs in tiles); kInt8 sums integers exactly and scales them once.
  void (*linear)(float* y, const Product& product, bool accumulate, Scratch& scratch,
                 ThreadPool& pool);

  /// h = silu(gate) * up of two products over the same panels: packed as `type`, kF32 or kBF16, into
  /// `packed`; or, where `rows` is given, into rows (T - first row of panel `begin`, F) instead.
  void (*gated)(PackedRows& packed, RowType type, float* rows, const Product& gate,
                const Product& up, Scratch& scratch, ThreadPool& pool);

  /// u[row, :] = x[row, :] a^T, a (R,K) by group or null; packed as x is.
  void (*lora_down)(PackedRows& u, const PackedRows& x, const std::vector<Panel>& panels,
                    int64_t begin, int64_t end, const std::vector<const Matrix*>& a,
                    ThreadPool& pool);

  /// y[t, :] = x[t, :] / sqrt(mean(x[t, :]^2) + eps) * weight; x, y (T,C), may be the same.
  void (*rms_norm)(float* y, const float* x, const float* weight, int64_t T, int64_t C, float eps,
                   ThreadPool& pool);

  /// In place: rotates elements (i, i + D/2) of every head of x (T, heads*D) by the angle of its
  /// row's position. cosines, sines are (positions, D/2).
  void (*rope)(float* x, const int32_t* positions, const float* cosines, const float* sines,
               int64_t T, int64_t heads, int64_t head_dim, ThreadPool& pool);

  /// out (query rows, H*D) = softmax(scale q k^T) v over each segment's own keys. q (query rows,
  /// H*D); k, v (key rows, G*D). With `type` kBF16 units with bfloat16 dot products
  /// round softmax's weights and v to it.
  void (*attention)(float* out, const float* q, const float* k, const float* v, int64_t key_rows,
                    const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                    RowType type, Scratch& scratch, ThreadPool& pool);

  /// Makes room for `rows` rows in `memory`; those that were kept are lost.
  void (*reserve_key_values)(KeyValues& store, int64_t rows, const AttentionShape& shape,
                             Memory& memory);

  /// Rows `to` of the store, one span after another, <- rows 0, 1, 2, ... of k, v (rows, G*D). `type` as in
  /// `attention_over`.
  void (*keep)(KeyValues& store, const float* k, const float* v, const std::vector<KvSpan>& to,
               const AttentionShape& shape, RowType type, ThreadPool& pool);

  /// `attention` over kept rows, which the segments' spans name: the same bits.
  void (*attention_over)(float* out, const float* q, const KeyValues& kept,
                         const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                         RowType type, Scratch& scratch, ThreadPool& pool);

  /// out (T,C) <- rows `tokens` of a table (V,C) of `type`.
  void (*embed)(float* out, const uint8_t* table, TensorType type, const int32_t* tokens, int64_t T,
                int64_t C, ThreadPool& pool);

  /// y[i, :] = x[from[i], :], `width` elements each; y is not x.
  void (*gather)(float* y, const float* x, const std::vector<int64_t>& from, int64_t width,
                 ThreadPool& pool);

  /// Softmax of rows (T,N) without the division: out[t, n] = exp(scale (x[t, n] - max x[t, :])). Terms below e^-87
  /// may come out as that.
  void (*softmax_terms)(float* out, const float* x, int64_t T, int64_t N, float scale,
                        ThreadPool& pool);
};

/// Plain loops: the specification, and the fallback of machines without AVX2.
const Ops& reference_ops();
/// AVX2 + FMA.
const Ops& avx2_ops();
/// The same with 8-bit dot products (AVX-VNNI).
const Ops& avx_vnni_ops();
/// AVX-512 (F, BW, DQ, VL).
const Ops& avx512_ops();
/// The same with 8-bit dot products (AVX-512 VNNI).
const Ops& avx512_vnni_ops();
/// The same with bfloat16 dot products (AVX-512 BF16).
const Ops& avx512_bf16_ops();
/// The same with tile products of bfloat16 and 8-bit integers (AMX).
const Ops& amx_ops();

/// Names of the units that this machine runs, the widest first; the last is "reference". Each may be
/// called only where it is listed.
std::vector<std::string> instruction_sets();

/// The type of weights that is fastest on a unit within the tolerances of the engine: bfloat16 where the
/// unit multiplies it markedly faster than float32 on this processor (measured, about a millisecond), else float32.
WeightType default_weight_type(const Ops& ops);

/// The unit named, "auto" being the widest that this machine has.
/// Throws INVALID_ARGUMENT if unknown, UNIMPLEMENTED if this machine lacks it.
const Ops& select_ops(const char* name);

}  // namespace dmoerm
