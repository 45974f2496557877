#pragma once

// What kernels are written in: CUDA C++ and the primitives below, which need PTX. Without a CUDA compiler
// `emulated/language.h` gives the same to a host compiler, with every access checked.

#ifdef __CUDACC__

#include <cuda_bf16.h>

#include <cstdint>

namespace dmoerm::cuda {

/// Elements in device memory. `size` is for the emulation's checks; here nothing reads it.
template <class T>
struct Global {
  T* data = nullptr;
  int64_t size = 0;

  __device__ __host__ __forceinline__ bool present() const { return data != nullptr; }
  __device__ __forceinline__ T load(int64_t i) const { return data[i]; }
  template <class U>
  __device__ __forceinline__ void store(int64_t i, U value) const {
    data[i] = value;
  }
  /// Elements [i, i + sizeof(V) / sizeof(T)) in one access.
  template <class V>
  __device__ __forceinline__ V load_as(int64_t i) const {
    return *reinterpret_cast<const V*>(data + i);
  }
  template <class V>
  __device__ __forceinline__ void store_as(int64_t i, const V& value) const {
    *reinterpret_cast<V*>(data + i) = value;
  }
};

extern __shared__ __align__(1024) uint8_t dmoerm_shared_memory[];

/// Elements in the block's shared memory, `offset` bytes from its start.
template <class T>
class Shared {
 public:
  __device__ __forceinline__ Shared(int64_t offset, int64_t)
      : data_(reinterpret_cast<T*>(dmoerm_shared_memory + offset)) {}

  __device__ __forceinline__ T load(int i) const { return data_[i]; }
  __device__ __forceinline__ void store(int i, T value) const { data_[i] = value; }
  template <class V>
  __device__ __forceinline__ V load_as(int i) const {
    return *reinterpret_cast<const V*>(data_ + i);
  }
  /// Address of element i as PTX's shared state space has it.
  __device__ __forceinline__ uint32_t at(int i) const {
    return static_cast<uint32_t>(__cvta_generic_to_shared(data_ + i));
  }

 private:
  T* data_;
};

/// Nearest bfloat16, ties to even.
__device__ __forceinline__ uint16_t to_bf16(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

__device__ __forceinline__ float from_bf16(uint16_t value) {
  return __bfloat162float(__ushort_as_bfloat16(value));
}

/// 2^x, to about two units in the last place; what is below the smallest normal number is 0.
__device__ __forceinline__ float fast_exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(result) : "f"(x));
  return result;
}

/// x / y likewise, for y below 2^126.
__device__ __forceinline__ float fast_divide(float x, float y) { return __fdividef(x, y); }

/// Copies 16 bytes to shared memory, or zeros; there after `wait_copies` and a barrier.
__device__ __forceinline__ void copy_async(const Shared<uint8_t>& to, int at,
                                           const Global<const uint8_t>& from, int64_t offset,
                                           bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to.at(at)),
               "l"(from.data + (valid ? offset : 0)), "r"(valid ? 16 : 0)
               : "memory");
}

/// Ends a group of copies.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/// Waits until at most `kPending` groups of this thread are under way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

/// Four 8x8 matrices of bfloat16, whose rows begin where lanes 8i..8i+7 say; lane l gets of each matrix row l/4,
/// elements 2(l%4) and the next.
__device__ __forceinline__ void load_matrices(uint32_t (&out)[4], const Shared<uint8_t>& from,
                                              int at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from.at(at))
               : "memory");
}

/// The same of the matrices' transposes.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&out)[4],
                                                         const Shared<uint8_t>& from, int at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from.at(at))
               : "memory");
}

/// d (16,8) += a (16,16) b (16,8) in bfloat16 with float32 sums, spread over the lanes as PTX has it.
__device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// d (16,8) += a (16,32) b (32,8) in signed 8 bits, exact; the lanes have the bytes that they have of bfloat16.
__device__ __forceinline__ void multiply_add(int32_t (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ---- Hopper's: copies of whole tiles, and products of them, that run beside the threads ----

/// Barriers in shared memory. One's phase ends when `arrivals` threads have arrived and all bytes that they announced are
/// there; what was copied, or done before arriving, is then seen by those who waited for that phase.
class PhaseBarriers {
 public:
  __device__ __forceinline__ PhaseBarriers(int64_t offset, int count) : data_(offset, count) {}

  /// By one thread, before `publish`.
  __device__ __forceinline__ void initialise(int i, int arrivals) const {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(data_.at(i)), "r"(arrivals)
                 : "memory");
  }
  /// Barriers that this thread made are there for others, and for copies, behind __syncthreads.
  __device__ __forceinline__ static void publish() {
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
  }
  __device__ __forceinline__ void arrive(int i) const {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(data_.at(i)) : "memory");
  }
  /// Arrives, and announces copies.
  __device__ __forceinline__ void expect(int i, int bytes) const {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(data_.at(i)),
                 "r"(bytes)
                 : "memory");
  }
  /// Until the phase of that parity, the first being 0, has ended.
  __device__ __forceinline__ void wait(int i, int parity) const {
    uint32_t ended = 0;
    do {
      asm volatile(
          "{\n.reg .pred p;\n"
          "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
          "selp.u32 %0, 1, 0, p;\n}\n"
          : "=r"(ended)
          : "r"(data_.at(i)), "r"(parity)
          : "memory");
    } while (ended == 0);
  }
  /// Copies 16 n bytes to shared memory, which barrier i has been told to expect.
  __device__ __forceinline__ void copy(int i, const Shared<uint8_t>& to, int at,
                                       const Global<const uint8_t>& from, int64_t offset,
                                       int bytes) const {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
        "[%3];\n" ::"r"(to.at(at)),
        "l"(from.data + offset), "r"(bytes), "r"(data_.at(i))
        : "memory");
  }

 private:
  Shared<uint64_t> data_;
};

/// What all lanes of a warp have, so that the compiler knows it.
__device__ __forceinline__ int warp_uniform(int value) {
  return __shfl_sync(0xffffffffu, value, 0);
}

/// Before a group of products whose sums the threads may have touched.
__device__ __forceinline__ void open_products() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}

/// Ends a group of products, which may be empty.
__device__ __forceinline__ void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}

/// Waits until at most `kPending` groups are under way; the sums of the others may be read, their tiles overwritten.
template <int kPending>
__device__ __forceinline__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
}

/// Of a tile in shared memory from byte `at` on, a multiple of 1024, whose rows lie as `packed_at` has them, bytes 32
/// `slice` and the next 31 of each row.
__device__ __forceinline__ uint64_t tile_descriptor(const Shared<uint8_t>& memory, int at,
                                                    int slice) {
  constexpr uint64_t kEightRows = 1024 >> 4, kSwizzle128 = uint64_t{1} << 62;
  return (memory.at(at + 32 * slice) & 0x3ffff) >> 4 | uint64_t{1} << 16 | kEightRows << 32 |
         kSwizzle128;
}

}  // namespace dmoerm::cuda

#include "tile_products.h"

#else

#include "emulated/language.h"

#endif
