#include "machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace dmoerm::cuda::emulated {
namespace {

constexpr int16_t kSeveral = -2;
constexpr int64_t kGranule = 2;             // bytes of shared memory with one trace
constexpr int64_t kGlobalGranule = 4;       // of device memory
constexpr uint64_t kHost = 1;               // a writer before any launch
constexpr uint64_t kPoison = ~uint64_t{0};  // NaNs in every floating-point type

/// Ends a thread; what was wrong has been noted.
struct Stopped {};

void* map(int64_t bytes) {
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

int64_t trace_bytes(int64_t bytes) {
  return (bytes + kGlobalGranule - 1) / kGlobalGranule * static_cast<int64_t>(sizeof(GlobalTrace));
}

}  // namespace

Machine Machine::machine_;

// ---- device memory ----

void* Machine::allocate(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes = std::max<int64_t>(bytes, 1);
  Allocation made{static_cast<uint8_t*>(map(bytes)), bytes,
                  static_cast<GlobalTrace*>(map(trace_bytes(bytes)))};
  const auto after =
      std::upper_bound(allocations_.begin(), allocations_.end(), made,
                       [](const Allocation& a, const Allocation& b) { return a.bytes < b.bytes; });
  allocations_.insert(after, made);
  last_found_ = nullptr;
  allocated_ += bytes;
  return made.bytes;
}

void Machine::free(void* memory) {
  const std::lock_guard lock(mutex_);
  if (memory == nullptr) return;
  const auto found =
      std::find_if(allocations_.begin(), allocations_.end(),
                   [&](const Allocation& allocation) { return allocation.bytes == memory; });
  if (found == allocations_.end())
    throw std::runtime_error("memory is freed that is not allocated");
  munmap(found->bytes, static_cast<size_t>(found->size));
  munmap(found->traces, static_cast<size_t>(trace_bytes(found->size)));
  allocated_ -= found->size;
  allocations_.erase(found);
  last_found_ = nullptr;
}

const Allocation* Machine::find(const void* at, int64_t bytes) {
  const auto* first = static_cast<const uint8_t*>(at);
  const auto holds = [&](const Allocation& allocation) {
    return first >= allocation.bytes && first + bytes <= allocation.bytes + allocation.size;
  };
  if (last_found_ != nullptr && holds(*last_found_)) return last_found_;
  auto after = std::upper_bound(allocations_.begin(), allocations_.end(), first,
                                [](const uint8_t* a, const Allocation& b) { return a < b.bytes; });
  if (after == allocations_.begin() || !holds(*--after)) return nullptr;
  return last_found_ = &*after;
}

void Machine::host_writes(const void* memory, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes == 0) return;
  const Allocation* allocation = find(memory, bytes);
  if (allocation == nullptr) throw std::runtime_error("the host writes outside device memory");
  const int64_t offset = static_cast<const uint8_t*>(memory) - allocation->bytes;
  for (int64_t i = offset / kGlobalGranule; i <= (offset + bytes - 1) / kGlobalGranule; ++i)
    allocation->traces[i] = {kHost, 0};
}

void Machine::host_reads(const void* memory, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes == 0) return;
  const Allocation* allocation = find(memory, bytes);
  if (allocation == nullptr) throw std::runtime_error("the host reads outside device memory");
  const int64_t offset = static_cast<const uint8_t*>(memory) - allocation->bytes;
  for (int64_t i = offset / kGlobalGranule; i <= (offset + bytes - 1) / kGlobalGranule; ++i)
    if (allocation->traces[i].writer == 0)
      throw std::runtime_error("the host reads device memory that nobody wrote");
}

void Machine::global_read(const void* at, int64_t bytes) {
  const Allocation* allocation = find(at, bytes);
  if (allocation == nullptr) fault("a read outside device memory");
  const int64_t offset = static_cast<const uint8_t*>(at) - allocation->bytes;
  for (int64_t i = offset / kGlobalGranule; i <= (offset + bytes - 1) / kGlobalGranule; ++i) {
    GlobalTrace& trace = allocation->traces[i];
    if (trace.writer == 0) fault("a read of device memory that nobody wrote");
    if (trace.writer >> 32 == launches_ && trace.writer != stamp_)
      fault("a race: device memory is read that another block of the launch writes");
    // Several blocks may read: then no block may write.
    const bool other = trace.reader >> 32 == launches_ && trace.reader != stamp_;
    trace.reader = other ? launches_ << 32 : stamp_;
  }
}

void Machine::global_write(const void* at, int64_t bytes) {
  const Allocation* allocation = find(at, bytes);
  if (allocation == nullptr) fault("a write outside device memory");
  const int64_t offset = static_cast<const uint8_t*>(at) - allocation->bytes;
  for (int64_t i = offset / kGlobalGranule; i <= (offset + bytes - 1) / kGlobalGranule; ++i) {
    GlobalTrace& trace = allocation->traces[i];
    if (trace.writer >> 32 == launches_ && trace.writer != stamp_)
      fault("a race: two blocks of a launch write the same device memory");
    if (trace.reader >> 32 == launches_ && trace.reader != stamp_)
      fault("a race: device memory is written that another block of the launch reads");
    trace.writer = stamp_;
  }
}

// ---- running ----

void Machine::launch(const char* name, const Grid& grid, const std::function<void()>& kernel) {
  const std::lock_guard lock(mutex_);
  if (grid.threads == 0 || grid.threads % kWarp != 0 || grid.threads > 1024)
    throw std::runtime_error(std::string(name) +
                             ": a block needs whole warps, at most 1024 threads");
  Grid& most = launched_[name];
  most.threads = std::max(most.threads, grid.threads);
  most.shared_bytes = std::max(most.shared_bytes, grid.shared_bytes);
  kernel_name_ = name;
  kernel_ = &kernel;
  grid_ = grid;
  ++launches_;
  fault_.clear();
  if (threads_.size() < grid.threads) threads_.resize(grid.threads);
  shared_.resize(static_cast<size_t>(grid.shared_bytes) / sizeof(SharedBytes) + 1);
  if (static_cast<int64_t>(traces_.size()) < grid.shared_bytes / kGranule + 1)
    traces_.resize(grid.shared_bytes / kGranule + 1);

  std::vector<Index> blocks;
  for (uint32_t z = 0; z < grid.blocks.z; ++z)
    for (uint32_t y = 0; y < grid.blocks.y; ++y)
      for (uint32_t x = 0; x < grid.blocks.x; ++x) blocks.push_back({x, y, z});
  std::vector<uint32_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random_);
  for (const uint32_t at : order) {
    block_ = blocks[at];
    stamp_ = launches_ << 32 | (at + 1);
    run_block();
    if (!fault_.empty()) throw std::runtime_error(fault_);
  }
}

void Machine::run_block() {
  const uint32_t warps = grid_.threads / kWarp;
  block_began_ = ++epoch_;
  warp_epochs_.assign(warps, 1);
  arrived_.assign(warps, 0);
  barriers_.clear();
  copies_.clear();
  products_.assign(warps, {});
  for (SharedBytes& bytes : shared_) bytes.words.fill(kPoison);
  const std::function<void()> body = [this] {
    try {
      (*kernel_)();
      if (!current_->open.empty() || !current_->groups.empty())
        fault("a thread ends with copies that it has not waited for");
    } catch (const Stopped&) {
    }
    current_->wait = Wait::kDone;
  };
  for (uint32_t t = 0; t < grid_.threads; ++t) {
    Thread& thread = threads_[t];
    if (thread.fibre == nullptr) thread.fibre = std::make_unique<Fibre>();
    thread.index = t;
    thread.wait = Wait::kNothing;
    thread.open.clear();
    thread.groups.clear();
    thread.ended.clear();
    thread.fibre->start(body);
  }
  std::vector<uint32_t> order(warps);
  std::iota(order.begin(), order.end(), 0u);
  while (true) {
    std::shuffle(order.begin(), order.end(), random_);
    bool any = false;  // a warp may have ended the phase that one before it waits for
    for (const uint32_t warp : order) {
      while (fault_.empty() && run_warp(warp)) any = true;
      if (!fault_.empty()) return;
    }
    if (any) continue;
    // No lane can go on: all are done, or all wait at the barrier.
    uint32_t waiting = 0, done = 0;
    for (uint32_t t = 0; t < grid_.threads; ++t) {
      waiting += threads_[t].wait == Wait::kBarrier;
      done += threads_[t].wait == Wait::kDone;
    }
    if (done == grid_.threads) return check_products();
    if (waiting != grid_.threads) {
      fault_ = place() + ": threads wait for others that never come (" + std::to_string(waiting) +
               " at a barrier, " + std::to_string(done) + " ended, of " +
               std::to_string(grid_.threads) + ")";
      return;
    }
    ++epoch_;
    for (uint32_t t = 0; t < grid_.threads; ++t) threads_[t].wait = Wait::kNothing;
  }
}

/// Runs each lane that can; false if none could.
bool Machine::run_warp(uint32_t warp) {
  const uint32_t first = static_cast<uint32_t>(random_()) % kWarp;
  bool any = false;
  for (uint32_t i = 0; i < kWarp && fault_.empty(); ++i) {
    Thread& thread = threads_[warp * kWarp + (first + i) % kWarp];
    if (thread.wait == Wait::kPhase &&
        (has_ended(thread.barrier, thread.parity) || bring_copy(thread.barrier)))
      thread.wait = Wait::kNothing;
    if (thread.wait != Wait::kNothing) continue;
    any = true;
    current_ = &thread;
    thread.fibre->resume();
  }
  return any;
}

void Machine::pause(Wait wait) {
  Thread* self = current_;
  self->wait = wait;
  self->fibre->suspend();
  if (!fault_.empty()) throw Stopped{};
}

void Machine::barrier() { pause(Wait::kBarrier); }

void Machine::meet(const char* operation, void* operand,
                   const std::function<void(const std::array<void*, kWarp>&)>& all) {
  current_->operation = operation;
  current_->operand = operand;
  const uint32_t warp = current_->index / kWarp;
  if (++arrived_[warp] < kWarp) return pause(Wait::kWarp);
  arrived_[warp] = 0;
  Thread* lanes = &threads_[warp * kWarp];
  std::array<void*, kWarp> operands{};
  for (int i = 0; i < kWarp; ++i) {
    if (lanes[i].operation != operation)
      fault(std::string("lanes of a warp part: one is in ") + operation + ", another in " +
            lanes[i].operation);
    operands[i] = lanes[i].operand;
    lanes[i].wait = Wait::kNothing;
  }
  all(operands);
}

void Machine::order_warp() {
  meet("__syncwarp", nullptr, [this](const auto&) { ++warp_epochs_[current_->index / kWarp]; });
}

// ---- shared memory ----

uint8_t* Machine::shared(int64_t offset, int64_t bytes, size_t alignment) {
  if (offset < 0 || offset + bytes > grid_.shared_bytes)
    fault("an array outside the block's shared memory");
  if (offset % static_cast<int64_t>(alignment) != 0) fault("an unaligned array in shared memory");
  return reinterpret_cast<uint8_t*>(shared_.data()) + offset;
}

bool Machine::ordered_write(const SharedTrace& trace, uint32_t thread) const {
  if (trace.write_epoch < epoch_ || trace.writer == static_cast<int16_t>(thread)) return true;
  const uint32_t warp = thread / kWarp;
  return static_cast<uint32_t>(trace.writer) / kWarp == warp &&
         trace.write_warp_epoch < warp_epochs_[warp];
}

void Machine::shared_read(const uint8_t* at, int64_t bytes, uint32_t thread) {
  const int64_t offset = at - reinterpret_cast<const uint8_t*>(shared_.data());
  const auto warp = static_cast<int8_t>(thread / kWarp);
  for (int64_t i = offset / kGranule; i <= (offset + bytes - 1) / kGranule; ++i) {
    SharedTrace& trace = traces_[i];
    if (trace.write_epoch < block_began_) fault("a read of shared memory that nobody wrote");
    if (trace.pending) fault("a read of shared memory whose copy nobody has waited for");
    if (!ordered_write(trace, thread))
      fault("a race: thread " + std::to_string(thread) + " reads shared memory that thread " +
            std::to_string(trace.writer) + " wrote since the last barrier");
    const bool first = trace.read_epoch < epoch_ || trace.reader == static_cast<int16_t>(thread);
    trace.reader_warp = first || trace.reader_warp == warp ? warp : int8_t{-1};
    trace.reader = first ? static_cast<int16_t>(thread) : kSeveral;
    trace.read_epoch = epoch_;
    trace.read_warp_epoch = warp_epochs_[warp];
  }
}

void Machine::shared_write(const uint8_t* at, int64_t bytes) {
  const int64_t offset = at - reinterpret_cast<const uint8_t*>(shared_.data());
  const uint32_t thread = current_->index;
  const auto warp = static_cast<int8_t>(thread / kWarp);
  for (int64_t i = offset / kGranule; i <= (offset + bytes - 1) / kGranule; ++i) {
    SharedTrace& trace = traces_[i];
    if (trace.write_epoch >= block_began_ && !ordered_write(trace, thread))
      fault("a race: threads " + std::to_string(trace.writer) + " and " + std::to_string(thread) +
            " write the same shared memory without a barrier between");
    const bool ordered = trace.read_epoch < epoch_ || trace.read_epoch < block_began_ ||
                         trace.reader == static_cast<int16_t>(thread) ||
                         (trace.reader_warp == warp && trace.read_warp_epoch < warp_epochs_[warp]);
    if (!ordered)
      fault("a race: thread " + std::to_string(thread) +
            " writes shared memory that another thread read since the last barrier");
    trace.write_epoch = epoch_;
    trace.write_warp_epoch = warp_epochs_[warp];
    trace.writer = static_cast<int16_t>(thread);
    trace.pending = false;
  }
}

void Machine::copy_async(uint8_t* to, const std::array<uint8_t, 16>& bytes) {
  shared_write(to, 16);
  const auto offset = to - reinterpret_cast<const uint8_t*>(shared_.data());
  for (int64_t i = offset / kGranule; i < (offset + 16) / kGranule; ++i) traces_[i].pending = true;
  current_->open.push_back({static_cast<uint32_t>(offset), bytes});
}

void Machine::commit_copies() {
  current_->groups.push_back(std::move(current_->open));
  current_->open.clear();
}

void Machine::wait_copies(size_t most_pending) {
  auto& groups = current_->groups;
  while (groups.size() > most_pending) {
    for (const AsyncCopy& copy : groups.front()) {
      uint8_t* to = reinterpret_cast<uint8_t*>(shared_.data()) + copy.to;
      std::memcpy(to, copy.bytes.data(), copy.bytes.size());
      // Visible to others only behind a barrier after this.
      shared_write(to, 16);
    }
    groups.erase(groups.begin());
  }
}

void Machine::fault(const std::string& what) {
  if (fault_.empty())
    fault_ = place() + ", thread " + std::to_string(current_->index) + ": " + what;
  throw Stopped{};
}

std::string Machine::place() const {
  return std::string(kernel_name_) + ", block (" + std::to_string(block_.x) + ", " +
         std::to_string(block_.y) + ", " + std::to_string(block_.z) + ")";
}

}  // namespace dmoerm::cuda::emulated
