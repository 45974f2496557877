#include <cuda_runtime.h>

#include "dmoerm/error.h"
#include "runtime.h"

namespace dmoerm::cuda::runtime {
namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  if (error == cudaErrorMemoryAllocation)
    throw Error(Code::kResourceExhausted, "OUT_OF_DEVICE_MEMORY", "",
                "the GPU is out of memory; use a smaller maxRows, or free tasks");
  throw Error(Code::kInternal, "CUDA_FAILED", what,
              std::string("CUDA failed in ") + what + ": " + cudaGetErrorString(error));
}

cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

Properties properties() {
  cudaDeviceProp found;
  check(cudaGetDeviceProperties(&found, 0), "cudaGetDeviceProperties");
  return {found.name, found.major, found.minor, found.multiProcessorCount,
          static_cast<int64_t>(found.totalGlobalMem)};
}

bool runs_hopper_kernels() {
  static const bool runs = [] {
    const Properties gpu = properties();
    return gpu.major == 9 && gpu.minor == 0;
  }();
  return runs;
}

Stream create_stream() {
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

void destroy_stream(Stream stream) { cudaStreamDestroy(of(stream)); }

void synchronize(Stream stream) {
  check(cudaStreamSynchronize(of(stream)), "cudaStreamSynchronize");
}

void* allocate(int64_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, static_cast<size_t>(bytes)), "cudaMalloc");
  return memory;
}

void release(void* memory) { cudaFree(memory); }

void* allocate_pinned(int64_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, static_cast<size_t>(bytes)), "cudaMallocHost");
  return memory;
}

void release_pinned(void* memory) { cudaFreeHost(memory); }

void copy_to_device(void* to, const void* from, int64_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, of(stream)),
        "cudaMemcpyAsync");
}

void copy_to_host(void* to, const void* from, int64_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, of(stream)),
        "cudaMemcpyAsync");
}

void launch(const char* name, const void* kernel, const Grid& grid, void* argument, Stream stream) {
  // Beyond 48 KiB a kernel has to be told; setting it again costs next to nothing.
  if (grid.shared_bytes > 48 << 10)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(grid.shared_bytes)),
          name);
  void* arguments[] = {argument};
  check(cudaLaunchKernel(kernel, {grid.x, grid.y, 1}, {grid.threads, 1, 1}, arguments,
                         static_cast<size_t>(grid.shared_bytes), of(stream)),
        name);
}

}  // namespace dmoerm::cuda::runtime
