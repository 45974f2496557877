// Attention on tensor cores: queries, keys, values and softmax's weights rounded to bfloat16, sums in float32. A tile's
// rows are the queries of one segment times the heads that share a key head, so that a lone query fills as much of it as
// it can. Keys come in tiles of fixed positions, as in attention.cu.

#include "attention_keys.h"
#include "kernels.h"
#include "launch.h"

namespace dmoerm::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarpRows = 16;  // of a tile; a tensor-core product's height
constexpr float kLog2E = 1.44269504f;

/// Shared memory: queries, keys, values as bfloat16, then the keys' rows. Rows lie an odd multiple of 16 bytes apart, so
/// that the eight that ldmatrix reads meet different banks.
template <int kKeys>
struct Layout {
  int width;   ///< of a head, a multiple of 16
  int stride;  ///< bytes

  __device__ __host__ explicit Layout(int head_dim)
      : width((head_dim + 15) / 16 * 16), stride(width * 2 + 16) {}
  __device__ __host__ int keys() const { return kTensorRows * stride; }
  __device__ __host__ int values() const { return keys() + kKeys * stride; }
  __device__ __host__ int rows() const { return values() + kKeys * stride; }
  __device__ __host__ int bytes() const { return rows() + kKeys * 4; }
};

/// Stores two neighbouring elements as bfloat16.
__device__ __forceinline__ void store_pair(const Shared<uint32_t>& memory, int at, float2 pair) {
  memory.store(at / 4, static_cast<uint32_t>(to_bf16(pair.x)) |
                           static_cast<uint32_t>(to_bf16(pair.y)) << 16);
}

/// Rows of keys or values to shared memory; zeros where there are none.
__device__ __forceinline__ void load_rows(const Shared<uint32_t>& memory, int to, int stride,
                                          const Global<const float>& from,
                                          const Shared<int32_t>& rows, int count, int tile_rows,
                                          int width, int head, const AttentionArguments& a) {
  const int pairs = width / 2;
  for (int i = threadIdx.x; i < tile_rows * pairs; i += kThreads) {
    const int row = i / pairs, c = i % pairs * 2;
    float2 pair{0.0f, 0.0f};
    if (row < count && c < a.head_dim)
      pair = from.template load_as<float2>(
          (static_cast<int64_t>(rows.load(row)) * a.kv_heads + head) * a.head_dim + c);
    store_pair(memory, to + row * stride + c * 2, pair);
  }
}

__device__ __forceinline__ uint32_t packed_pair(float low, float high) {
  return static_cast<uint32_t>(to_bf16(low)) | static_cast<uint32_t>(to_bf16(high)) << 16;
}

/// Over the four lanes that have a row's columns.
__device__ __forceinline__ float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

__device__ __forceinline__ float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/// `kWidest` bounds a head's width; `kKeys` is a tile's.
template <int kWidest, int kKeys>
__global__ void __launch_bounds__(kThreads)
    tensor_attention_kernel(const __grid_constant__ AttentionArguments a) {
  const QueryTile tile = a.tiles.load(blockIdx.x);
  const int kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Layout<kKeys> layout(a.head_dim);
  const Shared<uint8_t> memory(0, layout.rows());
  const Shared<uint32_t> words(0, layout.rows() / 4);
  const Shared<int32_t> rows(layout.rows(), kKeys);

  const int row_count = tile.count * group;
  for (int i = threadIdx.x; i < kTensorRows * (layout.width / 2); i += kThreads) {
    const int row = i / (layout.width / 2), c = i % (layout.width / 2) * 2;
    float2 pair{0.0f, 0.0f};
    if (row < row_count && c < a.head_dim)
      pair = a.q.template load_as<float2>(
          ((tile.row + row / group) * a.heads + kv_head * group + row % group) * a.head_dim + c);
    store_pair(words, row * layout.stride + c * 2, pair);
  }

  // This lane's two rows of the tile, and their queries' positions.
  const int own_rows[2] = {warp * kWarpRows + lane / 4, warp * kWarpRows + lane / 4 + 8};
  const int positions[2] = {tile.position + own_rows[0] / group,
                            tile.position + own_rows[1] / group};
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0.0f, 0.0f};
  float sums[kWidest / 8][4];
#pragma unroll
  for (int j = 0; j < kWidest / 8; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[j][i] = 0.0f;

  const float scale = a.scale * kLog2E;
  const int end = tile.position + tile.count;  // after the last key that any query sees
  const int begin = a.window > 0 && tile.position + 1 > a.window ? tile.position + 1 - a.window : 0;
  for (int first = begin / kKeys * kKeys; first < end; first += kKeys) {
    const int count = end - first < kKeys ? end - first : kKeys;
    if (static_cast<int>(threadIdx.x) < count)
      rows.store(threadIdx.x, key_row(a, tile, first + threadIdx.x));
    __syncthreads();  // the rows are there, and nobody reads the last tile any more
    load_rows(words, layout.keys(), layout.stride, a.k, rows, count, kKeys, layout.width, kv_head,
              a);
    load_rows(words, layout.values(), layout.stride, a.v, rows, count, kKeys, layout.width, kv_head,
              a);
    __syncthreads();

    float scores[kKeys / 8][4];
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[j][i] = 0.0f;
#pragma unroll
    for (int d = 0; d < kWidest / 16; ++d) {
      if (d * 16 >= layout.width) break;
      uint32_t queries[4];
      load_matrices(queries, memory,
                    (warp * kWarpRows + lane % 16) * layout.stride + d * 32 + lane / 16 * 16);
#pragma unroll
      for (int j = 0; j < kKeys / 8; j += 2) {
        uint32_t keys[4];
        load_matrices(keys, memory,
                      layout.keys() + (j * 8 + lane / 16 * 8 + lane % 8) * layout.stride + d * 32 +
                          lane / 8 % 2 * 16);
        const uint32_t left[2] = {keys[0], keys[1]}, right[2] = {keys[2], keys[3]};
        multiply_add(scores[j], queries, left);
        multiply_add(scores[j + 1], queries, right);
      }
    }

#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int position = positions[half];
      float most = -INFINITY;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int key = first + j * 8 + lane % 4 * 2 + i;
          const bool seen = key <= position && (a.window == 0 || key > position - a.window);
          float& score = scores[j][half * 2 + i];
          score = seen ? score * scale : -INFINITY;
          most = fmaxf(most, score);
        }
      most = fmaxf(row_max(most), largest[half]);
      // A tile that shows a query nothing leaves its sums as they are.
      const bool any =
          first <= position && (a.window == 0 || first + count > position - a.window + 1);
      const float keep = any ? exp2f(largest[half] - most) : 1.0f;
      float weights = 0.0f;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[j][half * 2 + i];
          score = any ? exp2f(score - most) : 0.0f;
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
        if (d * 16 >= layout.width) break;
        uint32_t values[4];
        load_matrices_transposed(values, memory,
                                 layout.values() +
                                     (k * 16 + lane / 8 % 2 * 8 + lane % 8) * layout.stride +
                                     d * 32 + lane / 16 * 16);
        const uint32_t left[2] = {values[0], values[1]}, right[2] = {values[2], values[3]};
        multiply_add(sums[2 * d], weights, left);
        multiply_add(sums[2 * d + 1], weights, right);
      }
    }
    __syncthreads();  // the keys' rows may be overwritten
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

template <int kWidest, int kKeys>
void launch_attention(const char* name, const AttentionArguments& a, runtime::Stream stream) {
  const Grid grid{static_cast<uint32_t>(a.tile_count), static_cast<uint32_t>(a.kv_heads), kThreads,
                  Layout<kKeys>(a.head_dim).bytes()};
  launch(name, tensor_attention_kernel<kWidest, kKeys>, grid, a, stream);
}

}  // namespace

void queue_tensor_attention(const AttentionArguments& a, runtime::Stream stream) {
  if (a.head_dim <= 64)
    launch_attention<64, 64>("attention bf16 64", a, stream);
  else if (a.head_dim <= 128)
    launch_attention<128, 64>("attention bf16 128", a, stream);
  else
    launch_attention<256, 32>("attention bf16 256", a, stream);
}

}  // namespace dmoerm::cuda
