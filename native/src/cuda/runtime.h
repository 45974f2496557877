#pragma once

// The few calls of the CUDA runtime that the back end makes. `runtime.cu` makes them; `emulated/runtime.cpp` has a
// device of the same functions in this process.

#include <cstdint>
#include <string>

namespace dmoerm::cuda {

/// What a launch occupies.
struct Grid {
  uint32_t x = 1, y = 1;     ///< blocks
  uint32_t threads = 32;     ///< per block
  int64_t shared_bytes = 0;  ///< per block
};

namespace runtime {

struct Properties {
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int processors = 0;
  int64_t memory = 0;  ///< bytes
};

/// An ordered queue of copies and launches.
using Stream = void*;

/// Usable devices; 0 without a driver.
int device_count();
/// Of the first, which is the one in use.
Properties properties();
/// Whether it is a Hopper (compute capability 9.0), with instructions of its own.
bool runs_hopper_kernels();

// All throw Error: RESOURCE_EXHAUSTED without memory, INTERNAL naming what the device said otherwise.
Stream create_stream();
void destroy_stream(Stream stream);
/// Waits for all that was queued.
void synchronize(Stream stream);
void* allocate(int64_t bytes);
void release(void* memory);
/// Memory of the host that copies need not stage.
void* allocate_pinned(int64_t bytes);
void release_pinned(void* memory);
/// Queued; `from` must live until the copy is done.
void copy_to_device(void* to, const void* from, int64_t bytes, Stream stream);
void copy_to_host(void* to, const void* from, int64_t bytes, Stream stream);

/// Queues a kernel (a `__global__` function of one argument).
void launch(const char* name, const void* kernel, const Grid& grid, void* argument, Stream stream);

}  // namespace runtime
}  // namespace dmoerm::cuda
