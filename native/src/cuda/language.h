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

extern __shared__ __align__(16) uint8_t dmoerm_shared_memory[];

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
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// d (16,8) += a (16,32) b (32,8) in signed 8 bits, exact; the lanes have the bytes that they have of bfloat16.
__device__ __forceinline__ void multiply_add(int32_t (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace dmoerm::cuda

#else

#include "emulated/language.h"

#endif
