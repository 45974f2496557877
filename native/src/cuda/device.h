#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "arena.h"
#include "dmoerm/memory.h"
#include "dmoerm/thread_pool.h"
#include "language.h"
#include "runtime.h"

namespace dmoerm::cuda {

/// An engine's part of a GPU: a stream, and the memory that its buffers lie in.
class Device : public Memory {
 public:
  Device();
  ~Device() override;

  void* allocate(size_t bytes) override;
  void release(void* memory) override;
  void write(void* to, const void* from, int64_t bytes) override;
  void read(void* to, const void* from, int64_t bytes) override;
  bool is_host() const override { return false; }

  runtime::Stream stream() const { return stream_; }
  /// kZeroBytes of them.
  Global<const uint8_t> zeros() const;

  /// Begins what a kernel is told: room for `arrays` calls of `stage` with `bytes` together.
  void begin_staging(int64_t arrays, int64_t bytes);
  /// A copy on the device of what the host tells a kernel: panels, positions, tokens. Bytes that were staged a short
  /// while ago, as in the layer before, are not copied again. Valid for kernels queued before the next `begin_staging`.
  template <class T>
  Global<const T> stage(const std::vector<T>& values) {
    return stage(values.data(), static_cast<int64_t>(values.size()));
  }
  template <class T>
  Global<const T> stage(const T* values, int64_t count) {
    return {static_cast<const T*>(stage_bytes(values, count * static_cast<int64_t>(sizeof(T)))),
            count};
  }

 private:
  /// Something staged, in pinned memory and at the same place of the device's.
  struct Staged {
    int64_t offset, bytes;
  };

  const void* stage_bytes(const void* from, int64_t bytes);
  void grow_staging(int64_t bytes);

  std::mutex mutex_;  // weights are written by several threads
  runtime::Stream stream_;
  Arena arena_;
  uint8_t* zeros_ = nullptr;
  int64_t staging_bytes_ = 0;
  uint8_t* pinned_ = nullptr;
  uint8_t* staging_ = nullptr;
  int64_t next_ = 0;            ///< where the next goes
  std::vector<Staged> staged_;  ///< since `next_` was at the start
};

/// The device whose memory a pool has.
inline Device& device_of(const ThreadPool& pool) { return static_cast<Device&>(pool.memory()); }

}  // namespace dmoerm::cuda
