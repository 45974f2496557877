// The CUDA runtime's part, on `Machine`. Everything queued is done when the call returns.

#include "cuda/runtime.h"

#include <cstdlib>
#include <cstring>

#include "dmoerm/error.h"
#include "machine.h"

namespace dmoerm::cuda::runtime {
namespace {

emulated::Machine& machine() { return emulated::Machine::instance(); }

}  // namespace

int device_count() { return 1; }

Properties properties() {
  return {"emulated", runs_hopper_kernels() ? 9 : 8, 0, 1, int64_t{1} << 30};
}

// Every engine of a process is on the one or the other.
bool runs_hopper_kernels() {
  static const bool runs = std::getenv("DMOERM_EMULATE_AMPERE") == nullptr;
  return runs;
}

Stream create_stream() { return nullptr; }
void destroy_stream(Stream) {}
void synchronize(Stream) {}

void* allocate(int64_t bytes) {
  if (machine().allocated() + bytes > properties().memory)
    throw Error(Code::kResourceExhausted, "OUT_OF_DEVICE_MEMORY", "",
                "the device is out of memory");
  return machine().allocate(bytes);
}

void release(void* memory) { machine().free(memory); }

void* allocate_pinned(int64_t bytes) { return ::operator new(static_cast<size_t>(bytes)); }
void release_pinned(void* memory) { ::operator delete(memory); }

void copy_to_device(void* to, const void* from, int64_t bytes, Stream) {
  machine().host_writes(to, bytes);
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void copy_to_host(void* to, const void* from, int64_t bytes, Stream) {
  machine().host_reads(from, bytes);
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace dmoerm::cuda::runtime
