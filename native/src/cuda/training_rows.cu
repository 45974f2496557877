// Kernels of a training pass that work on rows and elements. Each output is one thread's, or a warp's or block's in a fixed
// order of sums.

#include "launch.h"
#include "training_kernels.h"
#include "warp.h"

namespace dmoerm::cuda {
namespace {

constexpr int kRowsPerBlock = 4;
constexpr int kThreads = 256;

__device__ __forceinline__ int64_t thread_of_grid() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

__global__ void __launch_bounds__(kRowsPerBlock* kWarpSize)
    norm_gradient_kernel(const __grid_constant__ NormGradientArguments a) {
  const int lane = threadIdx.x % kWarpSize;
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kWarpSize;
  if (t >= a.T) return;
  float squares = 0.0f, dot = 0.0f;
  for (int64_t c = lane; c < a.C; c += kWarpSize) {
    const float x = a.x.load(t * a.C + c);
    squares = fmaf(x, x, squares);
    dot = fmaf(a.dy.load(t * a.C + c) * a.weight.load(c), x, dot);
  }
  const float width = static_cast<float>(a.C);
  const float scale = 1.0f / sqrtf(warp_sum(squares) / width + a.eps);
  const float along = warp_sum(dot) * scale * scale * scale / width;
  for (int64_t c = lane; c < a.C; c += kWarpSize) {
    const int64_t at = t * a.C + c;
    const float own = scale * a.weight.load(c) * a.dy.load(at) - along * a.x.load(at);
    a.dx.store(at, a.dx.load(at) + own);
  }
  if (lane == 0 && a.scales.present()) a.scales.store(t, scale);
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__global__ void __launch_bounds__(kThreads)
    gated_rows_kernel(const __grid_constant__ GatedArguments a) {
  const int64_t i = thread_of_grid();
  if (i >= a.count) return;
  const float gate = a.gate.load(i);
  a.h.store(i, gate * sigmoid(gate) * a.up.load(i));
}

__global__ void __launch_bounds__(kThreads)
    gated_gradient_kernel(const __grid_constant__ GatedArguments a) {
  const int64_t i = thread_of_grid();
  if (i >= a.count) return;
  const float gate = a.gate.load(i), dh = a.dh.load(i);
  const float s = sigmoid(gate), silu = gate * s;
  a.gate.store(i, dh * a.up.load(i) * (s + silu * (1.0f - s)));
  a.up.store(i, dh * silu);
}

__global__ void __launch_bounds__(kThreads)
    add_chunks_kernel(const __grid_constant__ ChunkArguments a) {
  const int64_t i = thread_of_grid();
  if (i >= a.count) return;
  float sum = a.parts.load(i);
  for (int64_t chunk = 1; chunk < a.chunks; ++chunk) sum += a.parts.load(chunk * a.count + i);
  a.out.store(i, a.out.load(i) + sum);
}

__global__ void __launch_bounds__(kThreads)
    column_sums_kernel(const __grid_constant__ ColumnArguments a) {
  const int64_t n = thread_of_grid();
  if (n >= a.N) return;
  const int64_t begin = blockIdx.y * a.chunk_rows;
  const int64_t end = begin + a.chunk_rows < a.T ? begin + a.chunk_rows : a.T;
  float sum = 0.0f;
  for (int64_t t = begin; t < end; ++t) {
    float value = a.x.load(t * a.N + n);
    if (a.y.present()) value *= a.y.load(t * a.N + n);
    if (a.scales.present()) value *= a.scales.load(t);
    sum += value;
  }
  a.parts.store(blockIdx.y * a.N + n, sum);
}

constexpr int kOuterSteps = 16;  // rows of a and b in shared memory at a time
constexpr int kOuterHigh = 2;    // outputs of a thread: rows of a block apart by half of its height
constexpr int kOuterWide = 4;    // neighbours

__global__ void __launch_bounds__(kThreads) outer_kernel(const __grid_constant__ OuterArguments a) {
  static_assert(kThreads == kOuterRows / kOuterHigh * (kOuterColumns / kOuterWide));
  const Shared<float> left(0, kOuterSteps * kOuterRows);
  const Shared<float> right(kOuterSteps * kOuterRows * 4, kOuterSteps * kOuterColumns);
  // Chunk by chunk, the blocks that cover M.
  const auto high = static_cast<uint32_t>((a.M + kOuterRows - 1) / kOuterRows);
  const int64_t chunk = blockIdx.x / high;
  const int64_t first_m = static_cast<int64_t>(blockIdx.x % high) * kOuterRows;
  const int64_t first_n = static_cast<int64_t>(blockIdx.y) * kOuterColumns;
  const int row = threadIdx.x / (kOuterColumns / kOuterWide);
  const int column = threadIdx.x % (kOuterColumns / kOuterWide) * kOuterWide;
  const int64_t begin = chunk * a.chunk_rows;
  const int64_t end = begin + a.chunk_rows < a.T ? begin + a.chunk_rows : a.T;
  float sums[kOuterHigh][kOuterWide];
  for (auto& one : sums)
    for (float& sum : one) sum = 0.0f;
  for (int64_t first = begin; first < end; first += kOuterSteps) {
    for (int i = threadIdx.x; i < kOuterSteps * kOuterRows; i += kThreads) {
      const int64_t t = first + i / kOuterRows, m = first_m + i % kOuterRows;
      left.store(i, t < end && m < a.M ? a.a.load(t * a.a_stride + m) : 0.0f);
    }
    for (int i = threadIdx.x; i < kOuterSteps * kOuterColumns; i += kThreads) {
      const int64_t t = first + i / kOuterColumns, n = first_n + i % kOuterColumns;
      right.store(i, t < end && n < a.N ? a.b.load(t * a.b_stride + n) : 0.0f);
    }
    __syncthreads();
    const int steps = end - first < kOuterSteps ? static_cast<int>(end - first) : kOuterSteps;
    for (int t = 0; t < steps; ++t) {
      const float4 b = right.template load_as<float4>(t * kOuterColumns + column);
#pragma unroll
      for (int i = 0; i < kOuterHigh; ++i) {
        const float x = left.load(t * kOuterRows + row + i * (kOuterRows / kOuterHigh));
        sums[i][0] = fmaf(x, b.x, sums[i][0]);
        sums[i][1] = fmaf(x, b.y, sums[i][1]);
        sums[i][2] = fmaf(x, b.z, sums[i][2]);
        sums[i][3] = fmaf(x, b.w, sums[i][3]);
      }
    }
    __syncthreads();  // the rows may be overwritten
  }
#pragma unroll
  for (int i = 0; i < kOuterHigh; ++i)
#pragma unroll
    for (int j = 0; j < kOuterWide; ++j) {
      const int64_t m = first_m + row + i * (kOuterRows / kOuterHigh), n = first_n + column + j;
      if (m < a.M && n < a.N) a.parts.store((chunk * a.M + m) * a.N + n, sums[i][j]);
    }
}

constexpr int kSquare = 32;  // rows and columns that a block transposes

__global__ void __launch_bounds__(kThreads)
    transpose_kernel(const __grid_constant__ TransposeArguments a) {
  // Rows are one element longer than they are wide: columns meet different banks.
  const Shared<float> square(0, kSquare * (kSquare + 1));
  const int64_t first_t = static_cast<int64_t>(blockIdx.x) * kSquare;
  const int64_t first_n = static_cast<int64_t>(blockIdx.y) * kSquare;
  for (int i = threadIdx.x; i < kSquare * kSquare; i += kThreads) {
    const int64_t t = first_t + i / kSquare, n = first_n + i % kSquare;
    if (t < a.T && n < a.N)
      square.store(i / kSquare * (kSquare + 1) + i % kSquare, a.x.load(t * a.N + n));
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kSquare * kSquare; i += kThreads) {
    const int64_t t = first_t + i % kSquare, n = first_n + i / kSquare;
    if (t < a.T && n < a.N)
      a.y.store(n * a.T + t, square.load(i % kSquare * (kSquare + 1) + i / kSquare));
  }
}

__global__ void __launch_bounds__(kThreads)
    scatter_add_kernel(const __grid_constant__ ScatterArguments a) {
  const int64_t c = thread_of_grid();
  if (c >= a.width) return;
  for (int64_t t = 0; t < a.T; ++t) {
    const int64_t at = a.rows.load(t) * a.width + c;
    a.y.store(at, a.y.load(at) + a.x.load(t * a.width + c));
  }
}

__global__ void __launch_bounds__(kThreads)
    drop_out_kernel(const __grid_constant__ DropoutArguments a) {
  const int64_t i = thread_of_grid();
  if (i >= a.T * a.K) return;
  const DeviceDropout row = a.rows.load(i / a.K);
  uint32_t h = row.key + static_cast<uint32_t>(i % a.K) * 0x9e3779b9u;
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  h ^= h >> 16;
  a.y.store(i, h < row.threshold ? 0.0f : a.x.load(i) * row.scale);
}

template <Change kChange>
__global__ void __launch_bounds__(kThreads)
    element_kernel(const __grid_constant__ ElementArguments a) {
  const int64_t i = thread_of_grid();
  if (i >= a.count) return;
  if constexpr (kChange == Change::kClear) a.y.store(i, 0.0f);
  if constexpr (kChange == Change::kCopy) a.y.store(i, a.x.load(i));
  if constexpr (kChange == Change::kAdd) a.y.store(i, a.y.load(i) + a.x.load(i));
  if constexpr (kChange == Change::kScale) a.y.store(i, a.y.load(i) * a.factor);
}

/// Sum of the block's values, of thread 0 on; every thread gets it.
__device__ __forceinline__ double block_sum(const Shared<double>& values, double value) {
  values.store(threadIdx.x, value);
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    const int i = threadIdx.x;
    if (i < half) values.store(i, values.load(i) + values.load(i + half));
  }
  __syncthreads();
  return values.load(0);
}

__global__ void __launch_bounds__(kThreads)
    token_logprobs_kernel(const __grid_constant__ LogprobArguments a) {
  const int64_t t = blockIdx.x, at = t * a.V;
  const Shared<double> sums(0, kThreads);
  const Shared<float> of_warps(kThreads * 8, kThreads / kWarpSize);
  const float own = a.logits.load(at + a.targets.load(t));
  float most = -INFINITY;
  for (int64_t v = threadIdx.x; v < a.V; v += kThreads) most = fmaxf(most, a.logits.load(at + v));
  most = warp_max(most);
  if (threadIdx.x % kWarpSize == 0) of_warps.store(threadIdx.x / kWarpSize, most);
  __syncthreads();
  for (int i = 0; i < kThreads / kWarpSize; ++i) most = fmaxf(most, of_warps.load(i));
  double sum = 0;
  for (int64_t v = threadIdx.x; v < a.V; v += kThreads)
    sum += static_cast<double>(expf(a.logits.load(at + v) - most));
  sum = block_sum(sums, sum);
  const float weight = a.weights.load(t);
  const auto scale = static_cast<float>(static_cast<double>(weight) / sum);
  for (int64_t v = threadIdx.x; v < a.V; v += kThreads) {
    const float term = expf(a.logits.load(at + v) - most) * scale;
    a.logits.store(at + v, v == a.targets.load(t) ? term - weight : term);
  }
  if (threadIdx.x == 0) a.logprobs.store(t, static_cast<double>(own - most) - log(sum));
}

__global__ void __launch_bounds__(kThreads)
    squares_kernel(const __grid_constant__ SquaresArguments a) {
  const Shared<double> sums(0, kThreads);
  const int64_t begin = blockIdx.x * a.per_block;
  const int64_t end = begin + a.per_block < a.count ? begin + a.per_block : a.count;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const auto x = static_cast<double>(a.x.load(i));
    sum += x * x;
  }
  sum = block_sum(sums, sum);
  if (threadIdx.x == 0) a.sums.store(blockIdx.x, sum);
}

__global__ void __launch_bounds__(kThreads) adam_kernel(const __grid_constant__ AdamArguments a) {
  const int64_t i = thread_of_grid();
  if (i >= a.count) return;
  const float gradient = a.scale * a.g.load(i);
  const float m = a.beta1 * a.m.load(i) + (1.0f - a.beta1) * gradient;
  const float v = a.beta2 * a.v.load(i) + (1.0f - a.beta2) * gradient * gradient;
  const float w = a.w.load(i);
  const float kept = w - a.learning_rate * a.decay * w;
  a.m.store(i, m);
  a.v.store(i, v);
  a.w.store(i, kept - a.learning_rate * (m * a.first) / (sqrtf(v * a.second) + a.eps));
}

uint32_t chunks(int64_t T, int64_t chunk_rows) { return blocks(T, chunk_rows); }

}  // namespace

void queue_norm_gradient(const NormGradientArguments& a, runtime::Stream stream) {
  launch("norm gradient", norm_gradient_kernel,
         {blocks(a.T, kRowsPerBlock), 1, kRowsPerBlock * kWarpSize, 0}, a, stream);
}

void queue_gated_rows(const GatedArguments& a, runtime::Stream stream) {
  launch("gated rows", gated_rows_kernel, {blocks(a.count, kThreads), 1, kThreads, 0}, a, stream);
}

void queue_gated_gradient(const GatedArguments& a, runtime::Stream stream) {
  launch("gated gradient", gated_gradient_kernel, {blocks(a.count, kThreads), 1, kThreads, 0}, a,
         stream);
}

void queue_add_chunks(const ChunkArguments& a, runtime::Stream stream) {
  launch("add chunks", add_chunks_kernel, {blocks(a.count, kThreads), 1, kThreads, 0}, a, stream);
}

void queue_column_sums(const ColumnArguments& a, runtime::Stream stream) {
  launch("column sums", column_sums_kernel,
         {blocks(a.N, kThreads), chunks(a.T, a.chunk_rows), kThreads, 0}, a, stream);
}

void queue_outer(const OuterArguments& a, runtime::Stream stream) {
  const Grid grid{blocks(a.M, kOuterRows) * chunks(a.T, a.chunk_rows), blocks(a.N, kOuterColumns),
                  kThreads, kOuterSteps * (kOuterRows + kOuterColumns) * 4};
  launch("outer", outer_kernel, grid, a, stream);
}

void queue_transpose(const TransposeArguments& a, runtime::Stream stream) {
  launch("transpose", transpose_kernel,
         {blocks(a.T, kSquare), blocks(a.N, kSquare), kThreads, kSquare * (kSquare + 1) * 4}, a,
         stream);
}

void queue_scatter_add(const ScatterArguments& a, runtime::Stream stream) {
  launch("scatter add", scatter_add_kernel, {blocks(a.width, kThreads), 1, kThreads, 0}, a, stream);
}

void queue_drop_out(const DropoutArguments& a, runtime::Stream stream) {
  launch("drop out", drop_out_kernel, {blocks(a.T * a.K, kThreads), 1, kThreads, 0}, a, stream);
}

void queue_elements(Change change, const ElementArguments& a, runtime::Stream stream) {
  const Grid grid{blocks(a.count, kThreads), 1, kThreads, 0};
  switch (change) {
    case Change::kClear:
      return launch("clear", element_kernel<Change::kClear>, grid, a, stream);
    case Change::kCopy:
      return launch("copy", element_kernel<Change::kCopy>, grid, a, stream);
    case Change::kAdd:
      return launch("add", element_kernel<Change::kAdd>, grid, a, stream);
    case Change::kScale:
      return launch("scale", element_kernel<Change::kScale>, grid, a, stream);
  }
}

void queue_token_logprobs(const LogprobArguments& a, runtime::Stream stream) {
  launch("token logprobs", token_logprobs_kernel,
         {static_cast<uint32_t>(a.T), 1, kThreads, kThreads * 8 + kThreads / kWarpSize * 4}, a,
         stream);
}

void queue_squares(const SquaresArguments& a, runtime::Stream stream) {
  launch("squares", squares_kernel, {blocks(a.count, a.per_block), 1, kThreads, kThreads * 8}, a,
         stream);
}

void queue_adam(const AdamArguments& a, runtime::Stream stream) {
  launch("adam", adam_kernel, {blocks(a.count, kThreads), 1, kThreads, 0}, a, stream);
}

}  // namespace dmoerm::cuda
