#pragma once

#include <cstddef>
#include <cstdint>

namespace dmoerm {

/// Where buffers lie: the host's memory, or a device's, which only a back end's ops can follow a pointer to.
class Memory {
 public:
  virtual ~Memory() = default;

  /// Uninitialised. Throws std::bad_alloc or RESOURCE_EXHAUSTED.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) = 0;

  /// Copies from the host, behind the ops called before; `from` may change when it returns.
  virtual void write(void* to, const void* from, int64_t bytes) = 0;
  /// Copies to the host what the ops called before have left.
  virtual void read(void* to, const void* from, int64_t bytes) = 0;

  /// Pointers mean the same to the host.
  virtual bool is_host() const = 0;
};

/// 64-byte aligned, large arrays on huge pages.
Memory& host_memory();

}  // namespace dmoerm
