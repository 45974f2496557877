// Attention on tensor cores: queries, keys, values and softmax's weights rounded to bfloat16, sums in float32. A tile's
// rows are the queries of one segment times the heads that share a key head, so that a lone query fills as much of it as
// it can. Keys come in tiles of fixed positions, as in attention.cu; the next tile is copied while one is multiplied.

#include "attention_keys.h"
#include "kernels.h"
#include "launch.h"

namespace dmoerm::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarpRows = 16;  // of a tile; a tensor-core product's height
constexpr float kLog2E = 1.44269504f;

/// Whether a warp holds its queries in registers: beside the sums of the widest heads there is no room.
template <int kWidest>
constexpr bool kHeld = kWidest <= 128;

/// Shared memory: two stages of keys and values as bfloat16, queries, then the rows of both stages' keys. Queries that warps
/// hold lie where the second stage comes later. Rows lie an odd multiple of 16 bytes apart, so that the eight
/// that ldmatrix reads meet different banks.
template <int kWidest, int kKeys>
struct Layout {
  int width;   ///< of a head, padded
  int stride;  ///< bytes

  __device__ __host__ explicit Layout(int head_dim)
      : width(padded_head(head_dim)), stride(width * 2 + 16) {}
  __device__ __host__ int keys(int stage) const { return 2 * stage * kKeys * stride; }
  __device__ __host__ int values(int stage) const { return keys(stage) + kKeys * stride; }
  __device__ __host__ int queries() const { return keys(kHeld<kWidest> ? 1 : 2); }
  __device__ __host__ int rows() const {
    constexpr int kBehind = kHeld<kWidest> && 2 * kKeys > kTensorRows ? 2 * kKeys : kTensorRows;
    return queries() + kBehind * stride;
  }
  __device__ __host__ int bytes() const { return rows() + 2 * kKeys * 4; }
};

/// A block's keys and values on their way: tiles of kKeys positions from `begin` on, the rows of each known a tile ahead.
template <int kWidest, int kKeys>
struct KeyTiles {
  const AttentionArguments& a;
  const QueryTile& tile;
  const Layout<kWidest, kKeys>& layout;
  const Shared<uint8_t> memory;
  const Shared<int32_t> rows;
  int begin, end, kv_head;

  __device__ __forceinline__ int count(int first) const {
    return end - first < kKeys ? end - first : kKeys;
  }
  __device__ __forceinline__ int stage(int first) const { return (first - begin) / kKeys % 2; }

  /// Finds the rows of a tile; read after the next barrier.
  __device__ __forceinline__ void find_rows(int first) const {
    const int key = threadIdx.x;
    if (key < kKeys && first + key < end)
      rows.store(stage(first) * kKeys + key, key_row(a, tile, first + key));
  }
  /// Queues copies of a tile; zeros where there are no keys.
  __device__ __forceinline__ void copy(int first) const {
    constexpr int kChunks = kWidest / 8;  // of 16 bytes
    const int chunks = layout.width / 8, from = stage(first), here = count(first);
    for (int i = threadIdx.x; i < kKeys * kChunks; i += kThreads) {
      const int key = i / kChunks, chunk = i % kChunks;
      if (chunk >= chunks) continue;
      const bool valid = key < here;
      const int64_t row = valid ? rows.load(from * kKeys + key) : 0;
      const int64_t at = ((row * a.kv_heads + kv_head) * chunks + chunk) * 16;
      const int to = key * layout.stride + chunk * 16;
      copy_async(memory, layout.keys(from) + to, a.packed_k, at, valid);
      copy_async(memory, layout.values(from) + to, a.packed_v, at, valid);
    }
    commit_copies();
  }
};

/// Over the four lanes that have a row's columns.
__device__ __forceinline__ float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

__device__ __forceinline__ float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/// `kWidest` bounds a head's width, and is it if `kWhole`; `kKeys` is a tile's.
template <int kWidest, int kKeys, bool kWhole>
__global__ void __launch_bounds__(kThreads)
    tensor_attention_kernel(const __grid_constant__ AttentionArguments a) {
  const QueryTile tile = a.tiles.load(blockIdx.x);
  const int kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  const int warp = warp_uniform(threadIdx.x / 32), lane = threadIdx.x % 32;
  const Layout<kWidest, kKeys> layout(a.head_dim);
  const Shared<uint8_t> memory(0, layout.rows());
  const Shared<uint32_t> words(0, layout.rows() / 4);
  const int seen = a.window > 0 && tile.position + 1 > a.window ? tile.position + 1 - a.window : 0;
  const int begin = seen / kKeys * kKeys;
  const int end = tile.position + tile.count;  // after the last key that any query sees
  const KeyTiles<kWidest, kKeys> keys{
      a, tile, layout, memory, Shared<int32_t>(layout.rows(), 2 * kKeys), begin, end, kv_head};
  keys.find_rows(begin);
  __syncthreads();
  keys.copy(begin);
  keys.find_rows(begin + kKeys);

  const int row_count = tile.count * group;
  for (int i = threadIdx.x; i < kTensorRows * (layout.width / 2); i += kThreads) {
    const int row = i / (layout.width / 2), c = i % (layout.width / 2) * 2;
    float2 pair{0.0f, 0.0f};
    if (row < row_count && c < a.head_dim)
      pair = a.q.template load_as<float2>(
          ((tile.row + row / group) * a.heads + kv_head * group + row % group) * a.head_dim + c);
    words.store((layout.queries() + row * layout.stride + c * 2) / 4, packed_pair(pair.x, pair.y));
  }

  // This lane's two rows of the tile, and their queries' positions.
  const int first_row = warp * kWarpRows;
  const int own_rows[2] = {first_row + lane / 4, first_row + lane / 4 + 8};
  const int positions[2] = {tile.position + own_rows[0] / group,
                            tile.position + own_rows[1] / group};
  const int first_position = tile.position + first_row / group;
  const int last_position = tile.position + (first_row + kWarpRows - 1) / group;
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0.0f, 0.0f};
  float sums[kWidest / 8][4];
#pragma unroll
  for (int j = 0; j < kWidest / 8; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[j][i] = 0.0f;
  uint32_t held[kHeld<kWidest> ? kWidest / 16 : 1][4];
  const auto load_queries = [&](uint32_t(&to)[4], int d) {
    load_matrices(
        to, memory,
        layout.queries() + (first_row + lane % 16) * layout.stride + d * 32 + lane / 16 * 16);
  };
  if constexpr (kHeld<kWidest>) {
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kWidest / 16; ++d)
      if (kWhole || d * 16 < layout.width) load_queries(held[d], d);
  }

  const float scale = a.scale * kLog2E;
  for (int first = begin; first < end; first += kKeys) {
    const int stage = keys.stage(first), count = keys.count(first);
    wait_copies<0>();
    __syncthreads();  // the keys are there, and nobody reads those before them any more
    if (first + kKeys < end) {
      keys.copy(first + kKeys);
      keys.find_rows(first + 2 * kKeys);
    }
    // Rows that are no queries, or see none of these keys.
    if (first_row >= row_count || last_position < first) continue;

    float scores[kKeys / 8][4];
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[j][i] = 0.0f;
#pragma unroll
    for (int d = 0; d < kWidest / 16; ++d) {
      if (!kWhole && d * 16 >= layout.width) break;
      uint32_t(&queries)[4] = held[kHeld<kWidest> ? d : 0];
      if (!kHeld<kWidest>) load_queries(queries, d);
#pragma unroll
      for (int j = 0; j < kKeys / 8; j += 2) {
        uint32_t own[4];
        load_matrices(own, memory,
                      layout.keys(stage) + (j * 8 + lane / 16 * 8 + lane % 8) * layout.stride +
                          d * 32 + lane / 8 % 2 * 16);
        const uint32_t left[2] = {own[0], own[1]}, right[2] = {own[2], own[3]};
        multiply_add(scores[j], queries, left);
        multiply_add(scores[j + 1], queries, right);
      }
    }

    // Whether all rows of the warp see all keys of the tile.
    const bool all_seen =
        first + kKeys - 1 <= first_position && (a.window == 0 || first > last_position - a.window);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int position = positions[half];
      float most = -INFINITY;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[j][half * 2 + i];
          score *= scale;
          if (!all_seen) {
            const int key = first + j * 8 + lane % 4 * 2 + i;
            const bool seen = key <= position && (a.window == 0 || key > position - a.window);
            score = seen ? score : -INFINITY;
          }
          most = fmaxf(most, score);
        }
      most = fmaxf(row_max(most), largest[half]);
      // A tile that shows a query nothing leaves its sums as they are.
      const bool any =
          first <= position && (a.window == 0 || first + count > position - a.window + 1);
      const float keep = any ? fast_exp2(largest[half] - most) : 1.0f;
      const float subtracted = any ? most : INFINITY;
      float weights = 0.0f;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[j][half * 2 + i];
          score = fast_exp2(score - subtracted);
          weights += score;
        }
      largest[half] = most;
      total[half] = fmaf(total[half], keep, row_sum(weights));
#pragma unroll
      for (int j = 0; j < kWidest / 8; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) sums[j][half * 2 + i] *= keep;
    }

#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      const uint32_t weights[4] = {packed_pair(scores[2 * k][0], scores[2 * k][1]),
                                   packed_pair(scores[2 * k][2], scores[2 * k][3]),
                                   packed_pair(scores[2 * k + 1][0], scores[2 * k + 1][1]),
                                   packed_pair(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
      for (int d = 0; d < kWidest / 16; ++d) {
        if (!kWhole && d * 16 >= layout.width) break;
        uint32_t values[4];
        load_matrices_transposed(values, memory,
                                 layout.values(stage) +
                                     (k * 16 + lane / 8 % 2 * 8 + lane % 8) * layout.stride +
                                     d * 32 + lane / 16 * 16);
        const uint32_t left[2] = {values[0], values[1]}, right[2] = {values[2], values[3]};
        multiply_add(sums[2 * d], weights, left);
        multiply_add(sums[2 * d + 1], weights, right);
      }
    }
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = own_rows[half];
    if (row >= row_count) continue;
    const int64_t to =
        ((tile.row + row / group) * a.heads + kv_head * group + row % group) * a.head_dim;
#pragma unroll
    for (int j = 0; j < kWidest / 8; ++j) {
      const int c = j * 8 + lane % 4 * 2;
      if (c < a.head_dim)
        a.out.store_as(
            to + c, float2{sums[j][half * 2] / total[half], sums[j][half * 2 + 1] / total[half]});
    }
  }
}

constexpr int kPackThreads = 256;

__global__ void __launch_bounds__(kPackThreads)
    pack_keys_kernel(const __grid_constant__ PackKeysArguments a) {
  const int width = padded_head(a.head_dim);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kPackThreads + threadIdx.x;
  const int64_t head = i / (width / 2);
  if (head >= a.T * a.kv_heads) return;
  const int c = static_cast<int>(i % (width / 2)) * 2;
  const auto pair_of = [&](const Global<const float>& from) {
    const int64_t at = head * a.head_dim + c;
    return packed_pair(c < a.head_dim ? from.load(at) : 0.0f,
                       c + 1 < a.head_dim ? from.load(at + 1) : 0.0f);
  };
  const int64_t row = a.to.present() ? a.to.load(head / a.kv_heads) : head / a.kv_heads;
  const int64_t to = ((row * a.kv_heads + head % a.kv_heads) * width + c) * 2;
  a.packed_k.store_as(to, pair_of(a.k));
  a.packed_v.store_as(to, pair_of(a.v));
}

template <int kWidest, int kKeys>
void launch_attention(const char* name, const char* narrower, const AttentionArguments& a,
                      runtime::Stream stream) {
  const Grid grid{static_cast<uint32_t>(a.tile_count), static_cast<uint32_t>(a.kv_heads), kThreads,
                  Layout<kWidest, kKeys>(a.head_dim).bytes()};
  if (a.head_dim == kWidest)
    launch(name, tensor_attention_kernel<kWidest, kKeys, true>, grid, a, stream);
  else
    launch(narrower, tensor_attention_kernel<kWidest, kKeys, false>, grid, a, stream);
}

}  // namespace

void queue_pack_keys(const PackKeysArguments& a, runtime::Stream stream) {
  launch(
      "pack_keys", pack_keys_kernel,
      {blocks(a.T * a.kv_heads * (padded_head(a.head_dim) / 2), kPackThreads), 1, kPackThreads, 0},
      a, stream);
}

void queue_tensor_attention(const AttentionArguments& a, runtime::Stream stream) {
  if (a.head_dim <= 64)
    launch_attention<64, 64>("attention bf16 64", "attention bf16 below 64", a, stream);
  else if (a.head_dim <= 128)
    launch_attention<128, 64>("attention bf16 128", "attention bf16 below 128", a, stream);
  else
    launch_attention<256, 16>("attention bf16 256", "attention bf16 below 256", a, stream);
}

}  // namespace dmoerm::cuda
