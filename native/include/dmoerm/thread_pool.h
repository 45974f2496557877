#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "dmoerm/memory.h"

namespace dmoerm {

/// The number of threads that `wanted` means: 0 is one per core. Throws INVALID_ARGUMENT outside 0..1024.
int choose_threads(int wanted);

/// A fixed set of threads that run one loop at a time; the calling thread works too. With them goes the memory that
/// ops have their operands in.
class ThreadPool {
 public:
  /// `threads` counts the caller; at least 1. `memory` outlives the pool.
  explicit ThreadPool(int threads, Memory& memory = host_memory());
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  Memory& memory() const { return memory_; }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `body(index, thread)` once for each index in [0, count), in any order, on any thread;
  /// returns when all are done. `thread` in [0, size()) is the same for no two calls at a time.
  /// `body` must not throw.
  void run(int64_t count, const std::function<void(int64_t, int)>& body);

 private:
  void work(int thread);
  void drain(int thread);

  Memory& memory_;
  std::vector<std::thread> workers_;
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<uint32_t> generation_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace dmoerm
