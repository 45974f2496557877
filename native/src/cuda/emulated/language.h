#pragma once

// CUDA C++ as far as the kernels use it, for a host compiler: each construct does on `Machine` what the device does.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

#define threadIdx (::dmoerm::cuda::emulated::thread_index())
#define blockIdx (::dmoerm::cuda::emulated::Machine::instance().block())
#define gridDim (::dmoerm::cuda::emulated::Machine::instance().blocks())
#define blockDim (::dmoerm::cuda::emulated::block_size())

struct alignas(8) float2 {
  float x, y;
};

struct alignas(16) float4 {
  float x, y, z, w;
};

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

namespace dmoerm::cuda::emulated {

inline Index thread_index() { return {Machine::instance().thread(), 0, 0}; }
inline Index block_size() { return {Machine::instance().threads(), 1, 1}; }

}  // namespace dmoerm::cuda::emulated

inline void __syncthreads() { dmoerm::cuda::emulated::Machine::instance().barrier(); }
inline void __syncwarp() { dmoerm::cuda::emulated::Machine::instance().order_warp(); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  using namespace dmoerm::cuda::emulated;
  struct Operand {
    T value, result;
    int mask;
  } mine{value, T{}, mask};
  Machine::instance().meet("__shfl_xor_sync", &mine, [](const std::array<void*, kWarp>& all) {
    for (int i = 0; i < kWarp; ++i) {
      auto* lane = static_cast<Operand*>(all[i]);
      lane->result = static_cast<Operand*>(all[(i ^ lane->mask) % kWarp])->value;
    }
  });
  return mine.result;
}

namespace dmoerm::cuda {

/// Elements in device memory; every access is checked.
template <class T>
struct Global {
  T* data = nullptr;
  int64_t size = 0;

  bool present() const { return data != nullptr; }

  T load(int64_t i) const {
    check(i, 1);
    emulated::Machine::instance().global_read(data + i, sizeof(T));
    return data[i];
  }
  template <class U>
  void store(int64_t i, U value) const {
    check(i, 1);
    emulated::Machine::instance().global_write(data + i, sizeof(T));
    data[i] = value;
  }
  /// Elements [i, i + sizeof(V) / sizeof(T)) in one access.
  template <class V>
  V load_as(int64_t i) const {
    check_vector<V>(i);
    emulated::Machine::instance().global_read(data + i, sizeof(V));
    V value;
    std::memcpy(&value, data + i, sizeof(V));
    return value;
  }
  template <class V>
  void store_as(int64_t i, const V& value) const {
    check_vector<V>(i);
    emulated::Machine::instance().global_write(data + i, sizeof(V));
    std::memcpy(data + i, &value, sizeof(V));
  }

  void check(int64_t i, int64_t count) const {
    if (i < 0 || i + count > size)
      emulated::Machine::instance().fault("element " + std::to_string(i) + " of an array of " +
                                          std::to_string(size));
  }

 private:
  template <class V>
  void check_vector(int64_t i) const {
    check(i, sizeof(V) / sizeof(T));
    if (reinterpret_cast<uintptr_t>(data + i) % alignof(V) != 0)
      emulated::Machine::instance().fault("an unaligned access");
  }
};

/// Elements in the block's shared memory; every access is checked.
template <class T>
class Shared {
 public:
  /// `offset` in bytes from the start of the block's shared memory.
  Shared(int64_t offset, int64_t size)
      : data_(reinterpret_cast<T*>(emulated::Machine::instance().shared(
            offset, size * static_cast<int64_t>(sizeof(T)), alignof(T)))),
        size_(size) {}

  T load(int64_t i) const {
    check(i, 1);
    emulated::Machine::instance().shared_read(bytes(i), sizeof(T));
    return data_[i];
  }
  void store(int64_t i, T value) const {
    check(i, 1);
    emulated::Machine::instance().shared_write(bytes(i), sizeof(T));
    data_[i] = value;
  }
  template <class V>
  V load_as(int64_t i) const {
    check(i, sizeof(V) / sizeof(T));
    aligned(i, alignof(V));
    emulated::Machine::instance().shared_read(bytes(i), sizeof(V));
    V value;
    std::memcpy(&value, data_ + i, sizeof(V));
    return value;
  }

  /// Address of element i, of which `count` may be used.
  uint8_t* at(int64_t i, int64_t count, size_t alignment) const {
    check(i, count);
    aligned(i, alignment);
    return bytes(i);
  }

 private:
  uint8_t* bytes(int64_t i) const { return reinterpret_cast<uint8_t*>(data_ + i); }
  void aligned(int64_t i, size_t alignment) const {
    if (reinterpret_cast<uintptr_t>(data_ + i) % alignment != 0)
      emulated::Machine::instance().fault("an unaligned access to shared memory");
  }
  void check(int64_t i, int64_t count) const {
    if (i < 0 || i + count > size_)
      emulated::Machine::instance().fault("element " + std::to_string(i) + " of an array of " +
                                          std::to_string(size_) + " in shared memory");
  }

  T* data_;
  int64_t size_;
};

/// Nearest bfloat16, ties to even.
inline uint16_t to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value != value) return 0x7fff;  // what cvt.rn.bf16.f32 makes of every NaN
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float from_bf16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

/// The device's are a little less exact.
inline float fast_exp2(float x) { return std::exp2(x); }
inline float fast_divide(float x, float y) { return x / y; }

/// Copies 16 bytes to shared memory, or zeros; there after `wait_copies` and a barrier.
inline void copy_async(const Shared<uint8_t>& to, int64_t at, const Global<const uint8_t>& from,
                       int64_t offset, bool valid) {
  emulated::Machine& machine = emulated::Machine::instance();
  std::array<uint8_t, 16> bytes{};
  if (valid) {
    struct alignas(16) Chunk {
      std::array<uint8_t, 16> bytes;
    };
    bytes = from.load_as<Chunk>(offset).bytes;
  }
  machine.copy_async(to.at(at, 16, 16), bytes);
}

/// Ends a group of copies.
inline void commit_copies() { emulated::Machine::instance().commit_copies(); }

/// Waits until at most `kPending` groups of this thread are under way.
template <int kPending>
inline void wait_copies() {
  emulated::Machine::instance().wait_copies(kPending);
}

namespace emulated {

/// Four 8x8 matrices of bfloat16, whose rows begin where lanes 8i..8i+7 say; `pick(row, column)` of lane l's two elements
/// is given l and 0 or 1.
template <class Pick>
void load_matrices(uint32_t (&out)[4], const uint8_t* own, const char* operation, Pick pick) {
  struct Operand {
    const uint8_t* row;
    uint32_t* out;
  } mine{own, out};
  Machine::instance().meet(operation, &mine, [pick](const std::array<void*, kWarp>& all) {
    Machine& machine = Machine::instance();
    const uint32_t first = machine.thread() / kWarp * kWarp;
    for (int i = 0; i < 4; ++i) {
      std::array<std::array<uint16_t, 8>, 8> matrix;
      for (int r = 0; r < 8; ++r) {
        const uint8_t* row = static_cast<Operand*>(all[8 * i + r])->row;
        machine.shared_read(row, 16, first + static_cast<uint32_t>(8 * i + r));
        std::memcpy(matrix[r].data(), row, 16);
      }
      for (int lane = 0; lane < kWarp; ++lane)
        static_cast<Operand*>(all[lane])->out[i] = static_cast<uint32_t>(pick(matrix, lane, 0)) |
                                                   static_cast<uint32_t>(pick(matrix, lane, 1))
                                                       << 16;
    }
  });
}

}  // namespace emulated

/// Lane l gets of each matrix row l/4, elements 2(l%4) and the next (PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16).
inline void load_matrices(uint32_t (&out)[4], const Shared<uint8_t>& from, int64_t at) {
  emulated::load_matrices(out, from.at(at, 16, 16), "ldmatrix",
                          [](const auto& matrix, int lane, int element) {
                            return matrix[lane / 4][2 * (lane % 4) + element];
                          });
}

/// The same of the matrices' transposes (ldmatrix ... .trans).
inline void load_matrices_transposed(uint32_t (&out)[4], const Shared<uint8_t>& from, int64_t at) {
  emulated::load_matrices(out, from.at(at, 16, 16), "ldmatrix.trans",
                          [](const auto& matrix, int lane, int element) {
                            return matrix[2 * (lane % 4) + element][lane / 4];
                          });
}

/// d (16,8) += a (16,16) b (16,8) in bfloat16 with float32 sums, spread over the lanes as PTX's
/// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 has it. The device adds the 16 products of a sum in an order of
/// its own; here they ascend.
inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  using namespace emulated;
  struct Operand {
    float* d;
    const uint32_t *a, *b;
  } mine{d, a, b};
  Machine::instance().meet("mma", &mine, [](const std::array<void*, kWarp>& all) {
    const auto half = [](uint32_t pair, int at) {
      return from_bf16(static_cast<uint16_t>(pair >> (16 * at)));
    };
    float A[16][16], B[8][16];
    bool rows[16]{}, columns[8]{}, finite = true;  // that hold something else than zeros
    for (int lane = 0; lane < kWarp; ++lane) {
      const auto* operand = static_cast<Operand*>(all[lane]);
      const int row = lane / 4, pair = lane % 4 * 2;
      for (int r = 0; r < 4; ++r) {
        rows[row + r % 2 * 8] |= operand->a[r] != 0;
        for (int e = 0; e < 2; ++e)
          A[row + r % 2 * 8][pair + r / 2 * 8 + e] = half(operand->a[r], e);
      }
      for (int r = 0; r < 2; ++r) {
        columns[row] |= operand->b[r] != 0;
        for (int e = 0; e < 2; ++e) B[row][pair + r * 8 + e] = half(operand->b[r], e);
      }
      for (const uint32_t pairs : {operand->a[0], operand->a[1], operand->a[2], operand->a[3],
                                   operand->b[0], operand->b[1]})
        finite = finite && (pairs & 0x7f80u) != 0x7f80u && (pairs >> 16 & 0x7f80u) != 0x7f80u;
    }
    for (int lane = 0; lane < kWarp; ++lane) {
      auto* operand = static_cast<Operand*>(all[lane]);
      for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        if (finite && !(rows[row] && columns[column])) continue;  // sixteen zeros
        float sum = operand->d[i];
        for (int k = 0; k < 16; ++k) sum += A[row][k] * B[column][k];
        operand->d[i] = sum;
      }
    }
  });
}

/// d (16,8) += a (16,32) b (32,8) in signed 8 bits, spread over the lanes as PTX's
/// mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 has it.
inline void multiply_add(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  using namespace emulated;
  struct Operand {
    int32_t* d;
    const uint32_t *a, *b;
  } mine{d, a, b};
  Machine::instance().meet("mma.s8", &mine, [](const std::array<void*, kWarp>& all) {
    const auto byte = [](uint32_t four, int at) {
      return static_cast<int32_t>(static_cast<int8_t>(four >> (8 * at)));
    };
    int32_t A[16][32], B[8][32];
    for (int lane = 0; lane < kWarp; ++lane) {
      const auto* operand = static_cast<Operand*>(all[lane]);
      const int row = lane / 4, first = lane % 4 * 4;
      for (int e = 0; e < 4; ++e) {
        for (int r = 0; r < 4; ++r)
          A[row + r % 2 * 8][first + r / 2 * 16 + e] = byte(operand->a[r], e);
        for (int r = 0; r < 2; ++r) B[row][first + r * 16 + e] = byte(operand->b[r], e);
      }
    }
    for (int lane = 0; lane < kWarp; ++lane) {
      auto* operand = static_cast<Operand*>(all[lane]);
      for (int i = 0; i < 4; ++i)
        for (int k = 0; k < 32; ++k)
          operand->d[i] += A[lane / 4 + i / 2 * 8][k] * B[lane % 4 * 2 + i % 2][k];
    }
  });
}

// ---- Hopper's ----

/// As in the CUDA version.
class PhaseBarriers {
 public:
  PhaseBarriers(int64_t offset, int count) : data_(offset, count) {}

  void initialise(int i, int arrivals) const {
    emulated::Machine::instance().make_barrier(at(i), arrivals);
  }
  static void publish() { emulated::Machine::instance().publish_barriers(); }
  void arrive(int i) const { emulated::Machine::instance().arrive(at(i), 0); }
  void expect(int i, int bytes) const { emulated::Machine::instance().arrive(at(i), bytes); }
  void wait(int i, int parity) const {
    emulated::Machine::instance().wait_phase(at(i), static_cast<uint32_t>(parity));
  }
  void copy(int i, const Shared<uint8_t>& to, int to_at, const Global<const uint8_t>& from,
            int64_t offset, int bytes) const {
    from.check(offset, bytes);
    emulated::Machine::instance().copy_bulk(to.at(to_at, bytes, 16), from.data + offset, bytes,
                                            at(i));
  }

 private:
  const uint8_t* at(int i) const { return data_.at(i, 1, 8); }

  Shared<uint64_t> data_;
};

namespace emulated {

/// `what` once for a warp whose lanes all call this.
template <class What>
void as_warp(const char* operation, What what) {
  Machine::instance().meet(operation, nullptr, [&](const std::array<void*, kWarp>&) { what(); });
}

}  // namespace emulated

/// What all lanes of a warp have; here it is looked whether they do.
inline int warp_uniform(int value) {
  using namespace emulated;
  Machine::instance().meet("warp_uniform", &value, [](const std::array<void*, kWarp>& all) {
    for (const void* lane : all)
      if (*static_cast<const int*>(lane) != *static_cast<const int*>(all[0]))
        Machine::instance().fault("lanes differ in what is said to be the same for all");
  });
  return value;
}

inline void open_products() {
  emulated::as_warp("wgmma.fence", [] { emulated::Machine::instance().open_products(); });
}

inline void close_products() {
  emulated::as_warp("wgmma.commit_group", [] { emulated::Machine::instance().close_products(); });
}

template <int kPending>
inline void wait_products() {
  emulated::as_warp("wgmma.wait_group",
                    [] { emulated::Machine::instance().wait_products(kPending); });
}

/// d (64, kColumns) += x (64, 16) w (kColumns, 16)^T of a warpgroup, a warp of which has 16 rows, as PTX's
/// wgmma.mma_async.sync.aligned.m64nNk16.f32.bf16.bf16 has it of tiles with a swizzle of 128 bytes. Done at once: that sums
/// are not touched while it runs is not seen. Products are added as `multiply_add` adds them.
template <int kColumns>
void multiply_add_tiles(float (&d)[kColumns / 2], const Shared<uint8_t>& memory, int x, int x_slice,
                        int w, int w_slice) {
  using namespace emulated;
  struct Operand {
    float* d;
    const uint8_t *x, *w;
    int x_slice, w_slice;
  } mine{d, memory.at(x, 64 * 128, 1024), memory.at(w, kColumns * 128, 1024), x_slice, w_slice};
  Machine::instance().meet("wgmma", &mine, [](const std::array<void*, kWarp>& all) {
    Machine& machine = Machine::instance();
    const auto* first = static_cast<Operand*>(all[0]);
    const int own = static_cast<int>(machine.thread()) / kWarp % 4 * 16;
    machine.begin_product();
    if (first->x_slice < 0 || first->x_slice > 3 || first->w_slice < 0 || first->w_slice > 3)
      machine.fault("a product beyond its tile's bytes");
    static float A[16][16], B[kColumns][16];
    const auto read = [&](float* to, const uint8_t* tile, int row, int slice) {
      for (int half = 0; half < 2; ++half) {
        const uint8_t* from = tile + row * 128 + ((slice * 2 + half) ^ (row % 8)) * 16;
        machine.product_reads(from, 16);
        for (int i = 0; i < 8; ++i) {
          uint16_t value;
          std::memcpy(&value, from + 2 * i, 2);
          to[half * 8 + i] = from_bf16(value);
        }
      }
    };
    for (int r = 0; r < 16; ++r) read(A[r], first->x, own + r, first->x_slice);
    for (int c = 0; c < kColumns; ++c) read(B[c], first->w, c, first->w_slice);
    for (int lane = 0; lane < kWarp; ++lane) {
      float* sums = static_cast<Operand*>(all[lane])->d;
      for (int i = 0; i < kColumns / 2; ++i) {
        const float* a = A[lane / 4 + i / 2 % 2 * 8];
        const float* b = B[i / 4 * 8 + lane % 4 * 2 + i % 2];
        for (int k = 0; k < 16; ++k) sums[i] += a[k] * b[k];
      }
    }
  });
}

}  // namespace dmoerm::cuda
