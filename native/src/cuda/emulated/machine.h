#pragma once

// A CUDA device in a process without one, for tests: it runs the kernels' own source and watches what they do.
//
// Every thread of a block is a fibre. Blocks, warps and lanes run in a shuffled order, a warp as far as it can before
// the next, so that what the source does not order comes in different orders. Each access to memory is checked:
// - inside its array, and aligned;
// - shared memory: written in this block before it is read, and ordered by a barrier between different threads;
// - device memory: written before it is read, and not by another block of the same launch;
// - tiles that products of a warpgroup read: their copy is done, the warp has waited for the phase that says so, and nothing
//   is copied over them before the warp has waited for the products and arrived at a barrier.
// The first fault ends the launch.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "fibre.h"

namespace dmoerm::cuda::emulated {

struct Index {
  uint32_t x = 0, y = 0, z = 0;
};

inline constexpr int kWarp = 32;

/// Where a launch's blocks and threads are, in the order of `Machine::launch`.
struct Grid {
  Index blocks{1, 1, 1};
  uint32_t threads = kWarp;  ///< per block, a multiple of kWarp
  int64_t shared_bytes = 0;
};

/// What a thread waits for.
enum class Wait { kNothing, kBarrier, kWarp, kPhase, kDone };

/// 16 bytes on their way from device memory to shared memory.
struct AsyncCopy {
  uint32_t to = 0;  ///< offset in shared memory
  std::array<uint8_t, 16> bytes{};
};

/// A tile on its way to shared memory, or there.
struct BulkCopy {
  uint32_t to = 0;  ///< offset in shared memory
  uint32_t bytes = 0;
  const uint8_t* from = nullptr;
  uint32_t barrier = 0, phase = 0;  ///< that ends when it is there
  bool done = false;
  std::array<int, 32> readers{};  ///< products under way, by warp
};

/// A barrier in shared memory that counts arrivals and bytes.
struct PhaseBarrier {
  int arrivals = 0, arrived = 0;
  int64_t bytes = 0;  ///< announced and not there yet
  uint32_t phase = 0;
  uint32_t maker = 0, epoch = 0;
  bool published = false;
};

/// Products of a warp, in groups; each names the copies that it reads.
struct Products {
  using Reads = std::vector<uint32_t>;
  bool is_open = false;
  Reads open;
  std::vector<Reads> closed;  ///< oldest first
  Reads waited_for;           ///< and not told to those who copy
  uint64_t count = 0;
};

struct Thread {
  std::unique_ptr<Fibre> fibre;
  uint32_t index = 0;
  Wait wait = Wait::kNothing;
  const char* operation = nullptr;  ///< of the warp, that this lane waits in
  void* operand = nullptr;
  std::vector<std::vector<AsyncCopy>> groups;  ///< committed copies, oldest first
  std::vector<AsyncCopy> open;                 ///< copies since the last commit
  uint32_t barrier = 0, parity = 0;            ///< of the phase that it waits for
  std::map<uint32_t, uint32_t> ended;          ///< phases that it knows to have ended, by barrier
};

/// Shared memory, aligned as tiles must be.
struct alignas(1024) SharedBytes {
  std::array<uint64_t, 128> words;
};

/// Who touched two bytes of shared memory last. Epochs count barriers; those of blocks never repeat.
struct SharedTrace {
  uint32_t write_epoch = 0, read_epoch = 0;
  uint32_t write_warp_epoch = 0, read_warp_epoch = 0;
  int16_t writer = -1;
  int16_t reader = -1;      ///< kSeveral: not one thread alone
  int8_t reader_warp = -1;  ///< -1: several
  bool pending = false;     ///< an asynchronous copy that nobody has waited for
};

/// Who touched four bytes of device memory last: launch << 32 | block + 1.
struct GlobalTrace {
  uint64_t writer = 0, reader = 0;
};

/// Device memory.
struct Allocation {
  uint8_t* bytes = nullptr;
  int64_t size = 0;
  GlobalTrace* traces = nullptr;  ///< one per four bytes
};

/// Launches, and the host's accesses, come one at a time from any thread.
class Machine {
 public:
  /// The device of this process.
  static Machine& instance() { return machine_; }

  /// Memory that nobody has written yet; freed with `free`.
  void* allocate(int64_t bytes);
  void free(void* memory);
  /// Bytes in use.
  int64_t allocated() const { return allocated_; }

  /// The host writes device memory (a copy, a fill).
  void host_writes(const void* memory, int64_t bytes);
  /// Throws std::runtime_error if the host may not read it.
  void host_reads(const void* memory, int64_t bytes);

  /// Runs `kernel` once per thread. Throws std::runtime_error with the first fault.
  void launch(const char* name, const Grid& grid, const std::function<void()>& kernel);

  /// By kernel, what it was launched with at most.
  const std::map<std::string, Grid>& launched() const { return launched_; }

  /// Order of blocks, warps and lanes from here on.
  void shuffle(uint32_t seed) { random_.seed(seed); }

  // ---- for the running thread ----

  Index block() const { return block_; }
  Index blocks() const { return grid_.blocks; }
  uint32_t threads() const { return grid_.threads; }
  uint32_t thread() const { return current_->index; }
  uint32_t lane() const { return current_->index % kWarp; }

  void barrier();
  /// Lanes of a warp meet in `operation`, each with an operand; the last runs `all` for them.
  void meet(const char* operation, void* operand,
            const std::function<void(const std::array<void*, kWarp>&)>& all);
  /// Orders accesses to shared memory between a warp's lanes.
  void order_warp();

  uint8_t* shared(int64_t offset, int64_t bytes, size_t alignment);
  int64_t shared_bytes() const { return grid_.shared_bytes; }
  void shared_read(const uint8_t* at, int64_t bytes) { shared_read(at, bytes, current_->index); }
  void shared_read(const uint8_t* at, int64_t bytes, uint32_t thread);
  void shared_write(const uint8_t* at, int64_t bytes);
  void global_read(const void* at, int64_t bytes);
  void global_write(const void* at, int64_t bytes);

  void copy_async(uint8_t* to, const std::array<uint8_t, 16>& bytes);
  void commit_copies();
  void wait_copies(size_t most_pending);

  // Barriers by their offset in shared memory.
  void make_barrier(const uint8_t* at, int arrivals);
  void publish_barriers();
  /// Arrives at a barrier, and announces bytes of copies.
  void arrive(const uint8_t* at, int64_t bytes);
  void wait_phase(const uint8_t* at, uint32_t parity);
  void copy_bulk(uint8_t* to, const uint8_t* from, int64_t bytes, const uint8_t* barrier);

  // By a warp, once for all its lanes.
  void open_products();
  void close_products();
  void wait_products(size_t most_pending);
  /// The warp reads part of a tile's row.
  void product_reads(const uint8_t* at, int64_t bytes);
  /// The warp begins another product.
  void begin_product();

  /// Ends the launch.
  [[noreturn]] void fault(const std::string& what);

 private:
  void run_block();
  bool run_warp(uint32_t warp);
  void check_products();
  uint32_t offset_of(const uint8_t* at) const;
  PhaseBarrier& barrier_at(const uint8_t* at);
  bool has_ended(uint32_t barrier, uint32_t parity) const;
  bool bring_copy(uint32_t barrier);
  void end_phase(PhaseBarrier& barrier);
  void pause(Wait wait);
  const Allocation* find(const void* at, int64_t bytes);
  bool ordered_write(const SharedTrace& trace, uint32_t thread) const;
  std::string place() const;

  static Machine machine_;

  std::mutex mutex_;
  std::map<std::string, Grid> launched_;
  std::vector<Allocation> allocations_;
  const Allocation* last_found_ = nullptr;
  int64_t allocated_ = 0;
  std::mt19937 random_{1};

  const char* kernel_name_ = "";
  const std::function<void()>* kernel_ = nullptr;
  Grid grid_;
  Index block_;
  uint64_t launches_ = 0;
  uint64_t stamp_ = 0;  ///< of the running block
  std::vector<Thread> threads_;
  Thread* current_ = nullptr;
  std::string fault_;
  uint32_t epoch_ = 1;
  std::vector<uint32_t> warp_epochs_;
  std::vector<int> arrived_;  ///< lanes that wait for their warp, by warp
  std::map<uint32_t, PhaseBarrier> barriers_;
  std::map<uint32_t, BulkCopy> copies_;  ///< by number
  uint32_t next_copy_ = 0;
  std::vector<Products> products_;  ///< by warp
  std::vector<SharedBytes> shared_;
  std::vector<SharedTrace> traces_;
  uint32_t block_began_ = 0;  ///< epoch
};

}  // namespace dmoerm::cuda::emulated
