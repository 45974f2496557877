// Barriers with phases, copies of tiles, products of them.

#include <algorithm>
#include <cstring>

#include "machine.h"

namespace dmoerm::cuda::emulated {

uint32_t Machine::offset_of(const uint8_t* at) const {
  return static_cast<uint32_t>(at - reinterpret_cast<const uint8_t*>(shared_.data()));
}

PhaseBarrier& Machine::barrier_at(const uint8_t* at) {
  const auto found = barriers_.find(offset_of(at));
  if (found == barriers_.end()) fault("a barrier that nobody made");
  PhaseBarrier& barrier = found->second;
  if (!barrier.published || (barrier.epoch == epoch_ && barrier.maker != current_->index))
    fault("a barrier that is not known to all yet");
  return barrier;
}

void Machine::make_barrier(const uint8_t* at, int arrivals) {
  barriers_[offset_of(at)] = {arrivals, 0, 0, 0, current_->index, epoch_, false};
}

void Machine::publish_barriers() {
  for (auto& [at, barrier] : barriers_)
    if (barrier.maker == current_->index) barrier.published = true;
}

void Machine::end_phase(PhaseBarrier& barrier) {
  if (barrier.arrived < barrier.arrivals || barrier.bytes != 0) return;
  barrier.arrived = 0;
  ++barrier.phase;
}

void Machine::arrive(const uint8_t* at, int64_t bytes) {
  PhaseBarrier& barrier = barrier_at(at);
  if (barrier.arrived == barrier.arrivals) fault("more arrivals than the barrier's phase takes");
  Products& products = products_[current_->index / kWarp];
  for (const uint32_t copy : products.waited_for)
    if (const auto found = copies_.find(copy); found != copies_.end())
      --found->second.readers[current_->index / kWarp];
  products.waited_for.clear();
  ++barrier.arrived;
  barrier.bytes += bytes;
  end_phase(barrier);
}

bool Machine::has_ended(uint32_t barrier, uint32_t parity) const {
  return (barriers_.at(barrier).phase & 1u) != parity;
}

/// The oldest copy that this barrier waits for arrives; false if there is none.
bool Machine::bring_copy(uint32_t barrier) {
  for (auto& [number, copy] : copies_) {
    if (copy.done || copy.barrier != barrier) continue;
    std::memcpy(reinterpret_cast<uint8_t*>(shared_.data()) + copy.to, copy.from, copy.bytes);
    copy.done = true;
    barriers_[barrier].bytes -= copy.bytes;
    end_phase(barriers_[barrier]);
    return true;
  }
  return false;
}

void Machine::wait_phase(const uint8_t* at, uint32_t parity) {
  barrier_at(at);
  const uint32_t barrier = offset_of(at);
  Thread& self = *current_;
  while (!has_ended(barrier, parity)) {
    if (bring_copy(barrier)) continue;
    self.barrier = barrier;
    self.parity = parity;
    pause(Wait::kPhase);
  }
  self.ended[barrier] = barriers_[barrier].phase;
}

void Machine::copy_bulk(uint8_t* to, const uint8_t* from, int64_t bytes, const uint8_t* barrier) {
  if (bytes <= 0 || bytes % 16 != 0) fault("a copy of " + std::to_string(bytes) + " bytes");
  if (reinterpret_cast<uintptr_t>(from) % 16 != 0) fault("a copy from an unaligned address");
  global_read(from, bytes);
  BulkCopy made{offset_of(to),
                static_cast<uint32_t>(bytes),
                from,
                offset_of(barrier),
                barrier_at(barrier).phase,
                false,
                {}};
  for (auto at = copies_.begin(); at != copies_.end();) {
    const BulkCopy& other = at->second;
    if (other.to >= made.to + made.bytes || made.to >= other.to + other.bytes) {
      ++at;
      continue;
    }
    if (!other.done) fault("a race: two copies to the same shared memory");
    for (const int readers : other.readers)
      if (readers > 0) fault("a race: a copy to shared memory that products still read");
    at = copies_.erase(at);
  }
  copies_[next_copy_++] = made;
}

void Machine::open_products() { products_[current_->index / kWarp].is_open = true; }

void Machine::begin_product() {
  Products& products = products_[current_->index / kWarp];
  if (!products.is_open) fault("a product whose sums are not handed over (wgmma.fence)");
  ++products.count;
}

void Machine::product_reads(const uint8_t* at, int64_t bytes) {
  const uint32_t offset = offset_of(at), warp = current_->index / kWarp;
  for (auto& [number, copy] : copies_) {
    if (offset + bytes <= copy.to || offset >= copy.to + copy.bytes) continue;
    // Any lane may have waited: those of a warp go together.
    bool known = false;
    for (uint32_t lane = 0; lane < kWarp; ++lane) {
      const auto& ended = threads_[warp * kWarp + lane].ended;
      const auto found = ended.find(copy.barrier);
      known = known || (found != ended.end() && found->second > copy.phase);
    }
    if (!copy.done || !known) fault("a product of a tile whose copy nobody has waited for");
    Products& products = products_[warp];
    if (std::find(products.open.begin(), products.open.end(), number) != products.open.end())
      continue;
    products.open.push_back(number);
    ++copy.readers[warp];
  }
}

void Machine::close_products() {
  Products& products = products_[current_->index / kWarp];
  products.closed.push_back(std::move(products.open));
  products.open.clear();
  products.is_open = false;
}

void Machine::wait_products(size_t most_pending) {
  Products& products = products_[current_->index / kWarp];
  while (products.closed.size() > most_pending) {
    for (const uint32_t copy : products.closed.front()) products.waited_for.push_back(copy);
    products.closed.erase(products.closed.begin());
  }
}

/// What a block must not leave behind.
void Machine::check_products() {
  constexpr size_t kGroupWarps = 4;
  for (size_t warp = 0; warp < products_.size(); ++warp) {
    const Products& products = products_[warp];
    if (!products.open.empty() || !products.closed.empty())
      fault_ = place() + ": a warp ends with products that it has not waited for";
    else if (products.count != products_[warp / kGroupWarps * kGroupWarps].count)
      fault_ = place() + ": warps of a group part: they began different numbers of products";
  }
  for (const auto& [number, copy] : copies_)
    if (!copy.done) fault_ = place() + ": the block ends with copies that nobody has waited for";
}

}  // namespace dmoerm::cuda::emulated
