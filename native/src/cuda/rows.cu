// Kernels that work on rows: norms, packing, rotation, softmax, copies. Each row has a warp or a block to itself and a
// fixed order of sums.

#include "kernels.h"
#include "launch.h"
#include "warp.h"

namespace dmoerm::cuda {
namespace {

constexpr int kRowsPerBlock = 4;

/// 1 / sqrt(mean square + eps) of a row, by a warp.
__device__ __forceinline__ float inverse_norm(const Global<const float>& x, int64_t at, int64_t C,
                                              float eps, int lane) {
  float squares = 0.0f;
  for (int64_t c = lane; c < C; c += kWarpSize) {
    const float value = x.load(at + c);
    squares = fmaf(value, value, squares);
  }
  return 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(C) + eps);
}

__global__ void __launch_bounds__(kRowsPerBlock* kWarpSize)
    rms_norm_kernel(const __grid_constant__ NormArguments a) {
  const int lane = threadIdx.x % kWarpSize;
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kWarpSize;
  if (t >= a.T) return;
  const float scale = inverse_norm(a.x, t * a.C, a.C, a.eps, lane);
  for (int64_t c = lane; c < a.C; c += kWarpSize)
    a.y.store(t * a.C + c, a.x.load(t * a.C + c) * scale * a.weight.load(c));
}

template <Element kElement>
__global__ void __launch_bounds__(kRowsPerBlock* kWarpSize)
    pack_rows_kernel(const __grid_constant__ NormArguments a) {
  const int lane = threadIdx.x % kWarpSize;
  const int r = blockIdx.y * kRowsPerBlock + threadIdx.x / kWarpSize;
  const DevicePanel panel = a.panels.load(blockIdx.x);
  if (r >= panel.count) return;
  const int64_t from = (static_cast<int64_t>(panel.row) + r) * a.C;
  const int64_t to = static_cast<int64_t>(blockIdx.x) * kPanelRows * a.packed_row_bytes;
  const float scale = a.weight.present() ? inverse_norm(a.x, from, a.C, a.eps, lane) : 1.0f;
  constexpr int kBytes = kElement == Element::kBF16 ? 2 : 4;
  // Two elements at a time: one store of 4 or 8 bytes.
  for (int64_t c = 2 * lane; c < a.packed_row_bytes / kBytes; c += 2 * kWarpSize) {
    float pair[2];
    for (int i = 0; i < 2; ++i) {
      pair[i] = c + i < a.C ? a.x.load(from + c + i) : 0.0f;
      if (a.weight.present() && c + i < a.C) pair[i] = pair[i] * scale * a.weight.load(c + i);
    }
    if constexpr (kElement == Element::kBF16)
      a.packed.store_as(to + packed_at(kPanelRows, r, c * kBytes), packed_pair(pair[0], pair[1]));
    else
      a.packed.store_as(to + packed_at(kPanelRows, r, c * kBytes), float2{pair[0], pair[1]});
  }
}

/// Elements that a warp rotates at a time, every 32nd a lane's: whole blocks of any rotation.
constexpr int kStretch = 256;
constexpr int kOwn = kStretch / kWarpSize;

/// A lane's elements of a row from `first` on, normalised by `scale` if there is a weight, and rotated block by block:
/// signs, then sums and differences of elements 16, 32, ... and then 1, 2, 4, 8 apart, as the processor's units have it.
__device__ __forceinline__ void rotated(float (&own)[kOwn], const NormArguments& a, int64_t from,
                                        int64_t first, float scale, int lane) {
#pragma unroll
  for (int j = 0; j < kOwn; ++j) {
    const int at = lane + j * kWarpSize;
    const int64_t c = first + at;
    own[j] = c < a.C ? a.x.load(from + c) : 0.0f;
    if (a.weight.present() && c < a.C) own[j] = own[j] * scale * a.weight.load(c);
    if (a.rotated > 1) own[j] *= a.signs.load(at % a.rotated);
  }
  const auto exchange = [&](int distance) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      const float other = __shfl_xor_sync(0xffffffffu, own[j], distance);
      own[j] = (lane & distance) != 0 ? other - own[j] : own[j] + other;
    }
  };
  if (a.rotated > 16) exchange(16);
#pragma unroll
  for (int apart = 1; apart < kOwn; apart *= 2)
    if (a.rotated > apart * kWarpSize)
#pragma unroll
      for (int j = 0; j < kOwn; ++j)
        if ((j & apart) == 0) {
          const float low = own[j], high = own[j + apart];
          own[j] = low + high;
          own[j + apart] = low - high;
        }
#pragma unroll
  for (int distance = 1; distance < 16; distance *= 2)
    if (a.rotated > distance) exchange(distance);
}

__global__ void __launch_bounds__(kRowsPerBlock* kWarpSize)
    pack_int8_kernel(const __grid_constant__ NormArguments a) {
  const int lane = threadIdx.x % kWarpSize;
  const int r = blockIdx.y * kRowsPerBlock + threadIdx.x / kWarpSize;
  const DevicePanel panel = a.panels.load(blockIdx.x);
  if (r >= panel.count) return;
  const int64_t from = (static_cast<int64_t>(panel.row) + r) * a.C;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kPanelRows;
  const float norm = a.weight.present() ? inverse_norm(a.x, from, a.C, a.eps, lane) : 1.0f;
  float own[kOwn];
  float largest = 0.0f, not_finite = 0.0f;
  for (int64_t first = 0; first < a.C; first += kStretch) {
    rotated(own, a, from, first, norm, lane);
    for (const float value : own) {
      largest = fmaxf(largest, fabsf(value));
      not_finite += value * 0.0f;  // NaN of what is not finite
    }
  }
  const float scale = warp_max(largest) / 127.0f + warp_sum(not_finite);
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  if (lane == 0) a.scales.store(first_row + r, scale);
  for (int64_t first = 0; first < a.packed_row_bytes; first += kStretch) {
    rotated(own, a, from, first, norm, lane);
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      const int64_t c = first + lane + j * kWarpSize;
      if (c >= a.packed_row_bytes) continue;
      const float scaled = own[j] * inverse;
      const int value = scaled >= -127.5f && scaled <= 127.5f ? static_cast<int>(rintf(scaled)) : 0;
      a.packed.store(first_row * a.packed_row_bytes + packed_at(kPanelRows, r, c),
                     static_cast<uint8_t>(static_cast<int8_t>(value)));
    }
  }
}

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) rope_kernel(const __grid_constant__ RopeArguments a) {
  const int64_t half = a.head_dim / 2;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.T * a.heads * half) return;
  const int64_t head = i / half, c = i % half;
  const int64_t angle = a.positions.load(head / a.heads) * half + c;
  const float cosine = a.cosines.load(angle), sine = a.sines.load(angle);
  const int64_t low = head * a.head_dim + c;
  const float x = a.x.load(low), y = a.x.load(low + half);
  a.x.store(low, x * cosine - y * sine);
  a.x.store(low + half, y * cosine + x * sine);
}

__global__ void __launch_bounds__(kThreads)
    softmax_terms_kernel(const __grid_constant__ SoftmaxArguments a) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * a.N;
  const Shared<float> of_warps(0, kThreads / kWarpSize);
  float largest = a.x.load(at);
  for (int64_t n = threadIdx.x; n < a.N; n += kThreads) largest = fmaxf(largest, a.x.load(at + n));
  largest = warp_max(largest);
  if (threadIdx.x % kWarpSize == 0) of_warps.store(threadIdx.x / kWarpSize, largest);
  __syncthreads();
  for (int i = 0; i < kThreads / kWarpSize; ++i) largest = fmaxf(largest, of_warps.load(i));
  for (int64_t n = threadIdx.x; n < a.N; n += kThreads)
    a.out.store(at + n, expf(a.scale * (a.x.load(at + n) - largest)));
}

__global__ void __launch_bounds__(kThreads)
    copy_rows_kernel(const __grid_constant__ CopyArguments a) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.T * a.width) return;
  const int64_t row = i / a.width, c = i % a.width;
  const int64_t from = a.from.present() ? a.from.load(row) : row;
  const int64_t to = a.to.present() ? a.to.load(row) : row;
  a.y.store(to * a.width + c, a.x.load(from * a.width + c));
}

template <Element kElement>
__global__ void __launch_bounds__(kThreads) embed_kernel(const __grid_constant__ EmbedArguments a) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.T * a.C) return;
  const int64_t at = a.tokens.load(i / a.C) * a.C + i % a.C;
  if constexpr (kElement == Element::kBF16)
    a.out.store(i, from_bf16(a.table.template load_as<uint16_t>(2 * at)));
  else
    a.out.store(i, a.table.template load_as<float>(4 * at));
}

}  // namespace

void queue_rms_norm(const NormArguments& a, runtime::Stream stream) {
  launch("rms_norm", rms_norm_kernel, {blocks(a.T, kRowsPerBlock), 1, kRowsPerBlock * kWarpSize, 0},
         a, stream);
}

void queue_pack_rows(Element element, const NormArguments& a, runtime::Stream stream) {
  const Grid grid{static_cast<uint32_t>(a.panels.size), kPanelRows / kRowsPerBlock,
                  kRowsPerBlock * kWarpSize, 0};
  if (element == Element::kInt8)
    launch("pack_rows int8", pack_int8_kernel, grid, a, stream);
  else if (element == Element::kBF16)
    launch("pack_rows bf16", pack_rows_kernel<Element::kBF16>, grid, a, stream);
  else
    launch("pack_rows f32", pack_rows_kernel<Element::kF32>, grid, a, stream);
}

void queue_rope(const RopeArguments& a, runtime::Stream stream) {
  launch("rope", rope_kernel, {blocks(a.T * a.heads * (a.head_dim / 2), kThreads), 1, kThreads, 0},
         a, stream);
}

void queue_softmax_terms(const SoftmaxArguments& a, runtime::Stream stream) {
  launch("softmax_terms", softmax_terms_kernel,
         {static_cast<uint32_t>(a.T), 1, kThreads, kThreads / kWarpSize * sizeof(float)}, a,
         stream);
}

void queue_copy_rows(const CopyArguments& a, runtime::Stream stream) {
  launch("copy_rows", copy_rows_kernel, {blocks(a.T * a.width, kThreads), 1, kThreads, 0}, a,
         stream);
}

void queue_embed(Element element, const EmbedArguments& a, runtime::Stream stream) {
  const Grid grid{blocks(a.T * a.C, kThreads), 1, kThreads, 0};
  if (element == Element::kBF16)
    launch("embed bf16", embed_kernel<Element::kBF16>, grid, a, stream);
  else
    launch("embed f32", embed_kernel<Element::kF32>, grid, a, stream);
}

}  // namespace dmoerm::cuda
