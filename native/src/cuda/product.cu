// Products of rows and weights, tile by tile: y = x w^T + u b^T, where the low-rank term is nothing but more steps along
// K of the same tile. A block computes one panel's rows and kColumns outputs; a step is 64 bytes of each row, brought to
// shared memory by asynchronous copies some steps ahead. An output's sum ascends over the steps whatever else the tile
// holds.

#include "kernels.h"
#include "launch.h"

namespace dmoerm::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kStages = 4;
constexpr int kChunks = kStepBytes / 16;  // 16-byte copies per row and step

enum class Kind { kLinear, kGated, kDown };

/// Outputs of a tile; a gated one has half of them from each side.
template <Kind kKind>
constexpr int kColumns = kKind == Kind::kDown ? 32 : 128;

template <Kind kKind>
constexpr int kStageBytes = (kPanelRows + kColumns<kKind>)*kStepBytes;

/// Where a chunk of a row lies in a stage. Rows are 64 bytes apart: without the exclusive or, the eight rows that
/// ldmatrix reads at once would share a quarter of the banks.
__device__ __forceinline__ int chunk_at(int row, int chunk) {
  return row * kStepBytes + (chunk ^ (row / 2 % kChunks)) * 16;
}

/// A tile's sums, spread over the block's threads, and how a step is added to them. `Sum(i, j)` of a thread is output
/// `column(j)` of row `row(i)`; of a gated tile, j + kWide / 2 is the other side's of the same output.
template <Element kElement, int kColumns, bool kSplit>
struct Tile;

/// One step of a tile on tensor cores, of whichever type `Sum` is the sum.
template <int kBlocks, class Shape, class Sum>
__device__ __forceinline__ void add_step(Sum (&sums)[2][kBlocks][4], const Shared<uint8_t>& memory,
                                         int x, int w) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t rows[2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i)
      load_matrices(rows[i], memory,
                    x + chunk_at(warp / 2 * 32 + i * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
    for (int block = 0; block < kBlocks; block += 2) {
      uint32_t weights[4];
      const int column = Shape::block_column(warp, block) + lane / 16 * 8 + lane % 8;
      load_matrices(weights, memory, w + chunk_at(column, half * 2 + lane / 8 % 2));
      const uint32_t left[2] = {weights[0], weights[1]}, right[2] = {weights[2], weights[3]};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        multiply_add(sums[i][block], rows[i], left);
        multiply_add(sums[i][block + 1], rows[i], right);
      }
    }
  }
}

/// bfloat16 on tensor cores: 2 x 2 warps of 32 rows and half of the columns each.
template <int kColumns, bool kSplit>
struct Tile<Element::kBF16, kColumns, kSplit> {
  static constexpr int kBlocks = kColumns / 16;  // of 8 columns in a warp
  static constexpr int kHigh = 4;
  static constexpr int kWide = kBlocks * 2;

  float sums[2][kBlocks][4];

  __device__ __forceinline__ Tile() {
    for (auto& rows : sums)
      for (auto& block : rows)
        for (float& sum : block) sum = 0.0f;
  }

  /// First weight row of a block of columns.
  __device__ __forceinline__ static int block_column(int warp, int block) {
    if constexpr (kSplit)
      return block / (kBlocks / 2) * (kColumns / 2) + warp % 2 * (kColumns / 4) +
             block % (kBlocks / 2) * 8;
    return warp % 2 * (kColumns / 2) + block * 8;
  }

  __device__ __forceinline__ void step(const Shared<uint8_t>& memory, int x, int w) {
    add_step<kBlocks, Tile>(sums, memory, x, w);
  }

  __device__ __forceinline__ float sum(int i, int j) const {
    return sums[i / 2][j / 2][i % 2 * 2 + j % 2];
  }
  __device__ __forceinline__ static int row(int i) {
    return threadIdx.x / 64 * 32 + i / 2 * 16 + i % 2 * 8 + threadIdx.x % 32 / 4;
  }
  __device__ __forceinline__ static int column(int j) {
    return block_column(threadIdx.x / 32, j / 2) + threadIdx.x % 4 * 2 + j % 2;
  }
};

/// 8 bits on tensor cores: sums of integers, exact, which become the same outputs' float32 sums once their rows and weights
/// are done. A step has twice the inputs of bfloat16's in the same bytes, and the lanes the same bytes of them.
template <int kColumns, bool kSplit>
struct Tile<Element::kInt8, kColumns, kSplit> : Tile<Element::kBF16, kColumns, kSplit> {
  using Sums = Tile<Element::kBF16, kColumns, kSplit>;

  int32_t counts[2][Sums::kBlocks][4];

  __device__ __forceinline__ Tile() {
    for (auto& rows : counts)
      for (auto& block : rows)
        for (int32_t& count : block) count = 0;
  }

  __device__ __forceinline__ void step_int8(const Shared<uint8_t>& memory, int x, int w) {
    add_step<Sums::kBlocks, Sums>(counts, memory, x, w);
  }

  /// sums = counts times the scales of their row and output.
  template <class Scale>
  __device__ __forceinline__ void to_float(Scale scale) {
#pragma unroll
    for (int i = 0; i < Sums::kHigh; ++i)
#pragma unroll
      for (int j = 0; j < Sums::kWide; ++j) {
        const int32_t count = counts[i / 2][j / 2][i % 2 * 2 + j % 2];
        Sums::sums[i / 2][j / 2][i % 2 * 2 + j % 2] =
            static_cast<float>(count) * scale(Sums::row(i), j);
      }
  }
};

/// float32: one fused multiply-add per input, inputs ascending, as the CPU's units have it.
template <int kColumns, bool kSplit>
struct Tile<Element::kF32, kColumns, kSplit> {
  static constexpr int kHigh = kPanelRows / 8;
  static constexpr int kWide = kColumns / 16;

  float sums[kHigh][kWide];

  __device__ __forceinline__ Tile() {
    for (auto& row : sums)
      for (float& sum : row) sum = 0.0f;
  }

  __device__ __forceinline__ void step(const Shared<uint8_t>& memory, int x, int w) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      float4 weights[kWide];
#pragma unroll
      for (int j = 0; j < kWide; ++j)
        weights[j] = memory.template load_as<float4>(w + chunk_at(column(j), chunk));
#pragma unroll
      for (int i = 0; i < kHigh; ++i) {
        const float4 inputs = memory.template load_as<float4>(x + chunk_at(row(i), chunk));
#pragma unroll
        for (int j = 0; j < kWide; ++j) {
          float sum = sums[i][j];
          sum = fmaf(inputs.x, weights[j].x, sum);
          sum = fmaf(inputs.y, weights[j].y, sum);
          sum = fmaf(inputs.z, weights[j].z, sum);
          sums[i][j] = fmaf(inputs.w, weights[j].w, sum);
        }
      }
    }
  }

  __device__ __forceinline__ float sum(int i, int j) const { return sums[i][j]; }
  __device__ __forceinline__ static int row(int i) { return threadIdx.x / 16 + i * 8; }
  __device__ __forceinline__ static int column(int j) { return threadIdx.x % 16 + j * 16; }
};

/// What a block multiplies, step by step: the base's steps, then the low-rank terms' of each side. Every index into its
/// arrays is known when the loops are unrolled, so that they live in registers.
template <Kind kKind>
struct Steps {
  static constexpr int kSides = kKind == Kind::kGated ? 2 : 1;
  static constexpr int kSideColumns = kColumns<kKind> / kSides;

  const ProductArguments& a;
  DevicePanel panel;
  int first_column;  ///< output of the tile's first column, per side
  DeviceMatrix w[kSides];
  DeviceUp up[kSides];
  int base = 0, count = 0;

  __device__ __forceinline__ explicit Steps(const ProductArguments& arguments)
      : a(arguments),
        panel(arguments.panels.load(blockIdx.x)),
        first_column(static_cast<int>(blockIdx.y) * kSideColumns) {
#pragma unroll
    for (int s = 0; s < kSides; ++s) {
      w[s] = kKind == Kind::kDown ? a.by_group.load(panel.group) : a.side[s].w;
      if (kKind != Kind::kDown && a.side[s].lora.present())
        up[s] = a.side[s].lora.load(panel.group);
      count += up[s].b.steps;
    }
    base = w[0].steps;
    if (kKind == Kind::kDown && first_column >= w[0].rows) base = 0;  // padding
    count += base;
  }

  /// Queues this thread's share of a step's copies to the stage at `to`.
  __device__ __forceinline__ void load(const Shared<uint8_t>& memory, int to, int step) const {
    const int chunk = threadIdx.x % kChunks, first = threadIdx.x / kChunks;
    constexpr int kRows = kThreads / kChunks;  // that the block copies at a time
    const bool low_rank = step >= base;
    const bool second = kSides == 2 && step - base >= up[0].b.steps;
    // Bytes into a row of weights. As far as packed rows have the same remainder by kRowAlign, a chunk's place in the
    // tile is the same.
    const int at =
        (low_rank ? step - base - (second ? up[0].b.steps : 0) : step) * kStepBytes + chunk * 16;
    const DeviceRows& rows = low_rank ? a.u : a.x;
    const int slot = low_rank ? static_cast<int>(blockIdx.x) + a.first_panel : panel.source;
    const int offset = low_rank ? (second ? up[kSides - 1].offset_bytes : up[0].offset_bytes) : 0;
    const int64_t from = static_cast<int64_t>(slot - rows.first) * kPanelRows * rows.row_bytes +
                         packed_at(kPanelRows, first, offset + at);
#pragma unroll
    for (int i = 0; i < kPanelRows / kRows; ++i) {
      const int row = first + i * kRows;
      copy_async(memory, to + chunk_at(row, chunk), rows.data, from + i * kRows * kTileBytes,
                 row < panel.count);
    }
#pragma unroll
    for (int i = 0; i < kColumns<kKind> / kRows; ++i) {
      const int column = first + i * kRows;
      const int side = i * kRows / kSideColumns;
      const int output = first_column + column % kSideColumns;
      const DeviceMatrix& matrix = low_rank ? up[side].b : w[side];
      // A side's low-rank steps add nothing to the other.
      copy_async(memory, to + kPanelRows * kStepBytes + chunk_at(column, chunk), matrix.data,
                 packed_at(packed_rows(matrix.rows), output, at),
                 output < matrix.rows && (!low_rank || second == (side == 1)));
    }
  }
};

/// What 8-bit sums of a panel's rows are multiplied by.
template <Kind kKind>
struct Scales {
  const Steps<kKind>& steps;
  int64_t first;  ///< row of the packed rows

  __device__ __forceinline__ explicit Scales(const Steps<kKind>& of)
      : steps(of), first(static_cast<int64_t>(of.panel.source - of.a.x.first) * kPanelRows) {}

  /// `column` of the tile; a gated one's second half is the other side's.
  __device__ __forceinline__ float at(int row, int column) const {
    if (row >= steps.panel.count) return 0.0f;
    const int side = column / Steps<kKind>::kSideColumns;
    const int64_t n = steps.first_column + column % Steps<kKind>::kSideColumns;
    return n < steps.w[side].rows
               ? steps.a.x.scales.load(first + row) * steps.w[side].scales.load(n)
               : 0.0f;
  }
};

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }

template <Element kElement>
__device__ __forceinline__ void store_packed(const ProductArguments& a, int r, int column,
                                             float value) {
  constexpr int kBytes = element_bytes(kElement);
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kPanelRows * a.packed_row_bytes +
                     packed_at(kPanelRows, r, column * kBytes);
  if constexpr (kElement == Element::kBF16)
    a.packed.store_as(at, to_bf16(value));
  else
    a.packed.store_as(at, value);
}

template <Element kElement, Kind kKind>
__global__ void __launch_bounds__(kThreads)
    product_kernel(const __grid_constant__ ProductArguments a) {
  const Steps<kKind> steps(a);
  if (kKind == Kind::kDown && steps.w[0].rows == 0) return;  // no adapter on this group
  const Shared<uint8_t> memory(0, kStages * kStageBytes<kKind>);
  Tile<kElement, kColumns<kKind>, kKind == Kind::kGated> tile;
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps.count) steps.load(memory, step * kStageBytes<kKind>, step);
    commit_copies();
  }
  const auto advance = [&](int begin, int end, auto multiply) {
    for (int step = begin; step < end; ++step) {
      wait_copies<kStages - 2>();
      __syncthreads();  // the step is there for all, and all are done with the stage that is filled next
      const int next = step + kStages - 1;
      if (next < steps.count) steps.load(memory, next % kStages * kStageBytes<kKind>, next);
      commit_copies();
      const int at = step % kStages * kStageBytes<kKind>;
      multiply(at, at + kPanelRows * kStepBytes);
    }
  };
  int done = 0;
  if constexpr (kElement == Element::kInt8) {
    advance(0, steps.base, [&](int x, int w) { tile.step_int8(memory, x, w); });
    const Scales<kKind> scales(steps);
    tile.to_float([&](int row, int j) { return scales.at(row, tile.column(j)); });
    done = steps.base;
  }
  advance(done, steps.count, [&](int x, int w) { tile.step(memory, x, w); });
  wait_copies<0>();

  constexpr int kSides = kKind == Kind::kGated ? 2 : 1;
#pragma unroll
  for (int i = 0; i < tile.kHigh; ++i) {
    const int r = tile.row(i);
    if (r >= steps.panel.count) continue;
#pragma unroll
    for (int j = 0; j < tile.kWide / kSides; ++j) {
      const int n = steps.first_column + tile.column(j);
      if (kKind == Kind::kDown) {
        if (n < a.packed_row_bytes / element_bytes(kElement))
          store_packed<kElement>(a, r, n, tile.sum(i, j));
        continue;
      }
      float value = tile.sum(i, j);
      if (a.side[0].bias.present() && n < a.N) value += a.side[0].bias.load(n);
      if (kKind == Kind::kGated) {
        float other = tile.sum(i, j + tile.kWide / 2);
        if (a.side[1].bias.present() && n < a.N) other += a.side[1].bias.load(n);
        value = silu(value) * other;
        if (a.packed.present()) {
          if (n < a.packed_row_bytes / element_bytes(kElement))
            store_packed<kElement>(a, r, n, value);
          continue;
        }
      }
      if (n >= a.N) continue;
      const int64_t at = (steps.panel.row + r - a.first_row) * a.N + n;
      a.y.store(at, a.accumulate ? a.y.load(at) + value : value);
    }
  }
}

/// Queues a product with `columns` outputs per side.
template <Element kElement, Kind kKind>
void launch_product(const char* name, const ProductArguments& a, int64_t columns,
                    runtime::Stream stream) {
  constexpr int kPerSide = Steps<kKind>::kSideColumns;
  const Grid grid{static_cast<uint32_t>(a.panels.size),
                  static_cast<uint32_t>((columns + kPerSide - 1) / kPerSide), kThreads,
                  kStages * kStageBytes<kKind>};
  launch(name, product_kernel<kElement, kKind>, grid, a, stream);
}

/// Elements of a packed row, padding included.
int64_t packed_columns(Element element, const ProductArguments& a) {
  return a.packed_row_bytes / element_bytes(element);
}

}  // namespace

void queue_linear(Element element, const ProductArguments& a, runtime::Stream stream) {
  if (element == Element::kBF16 && a.side[0].w.rows > 0 && runtime::runs_hopper_kernels())
    queue_hopper_linear(a, stream);
  else if (element == Element::kInt8)
    launch_product<Element::kInt8, Kind::kLinear>("linear int8", a, a.N, stream);
  else if (element == Element::kBF16)
    launch_product<Element::kBF16, Kind::kLinear>("linear bf16", a, a.N, stream);
  else
    launch_product<Element::kF32, Kind::kLinear>("linear f32", a, a.N, stream);
}

void queue_gated(Element element, const ProductArguments& a, runtime::Stream stream) {
  const int64_t columns = a.packed.present() ? packed_columns(element, a) : a.N;
  if (element == Element::kBF16 && runtime::runs_hopper_kernels())
    queue_hopper_gated(a, stream);
  else if (element == Element::kInt8)
    launch_product<Element::kInt8, Kind::kGated>("gated int8", a, a.N, stream);
  else if (element == Element::kBF16)
    launch_product<Element::kBF16, Kind::kGated>("gated bf16", a, columns, stream);
  else
    launch_product<Element::kF32, Kind::kGated>("gated f32", a, columns, stream);
}

void queue_lora_down(Element element, const ProductArguments& a, runtime::Stream stream) {
  const int64_t columns = packed_columns(element, a);
  if (element == Element::kBF16)
    launch_product<Element::kBF16, Kind::kDown>("lora_down bf16", a, columns, stream);
  else
    launch_product<Element::kF32, Kind::kDown>("lora_down f32", a, columns, stream);
}

}  // namespace dmoerm::cuda
