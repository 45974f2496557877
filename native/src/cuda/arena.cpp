#include "arena.h"

#include <algorithm>
#include <iterator>

#include "runtime.h"

namespace dmoerm::cuda {
namespace {

constexpr int64_t kAlign = 256;
constexpr int64_t kPiece = 64 << 20;

}  // namespace

Arena::~Arena() {
  for (const auto& [address, block] : blocks_)
    if (block.starts_piece) runtime::release(address);
}

void* Arena::allocate(int64_t bytes) {
  bytes = (std::max<int64_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  auto best = blocks_.end();
  for (auto at = blocks_.begin(); at != blocks_.end(); ++at)
    if (!at->second.used && at->second.bytes >= bytes &&
        (best == blocks_.end() || at->second.bytes < best->second.bytes))
      best = at;
  if (best == blocks_.end()) {
    const int64_t piece = std::max(bytes, kPiece);
    auto* address = static_cast<char*>(runtime::allocate(piece));
    best = blocks_.emplace(address, Block{piece, false, true}).first;
  }
  best = split(best, bytes);
  best->second.used = true;
  return best->first;
}

Arena::Blocks::iterator Arena::split(Blocks::iterator block, int64_t bytes) {
  if (block->second.bytes > bytes) {
    blocks_.emplace(block->first + bytes, Block{block->second.bytes - bytes, false, false});
    block->second.bytes = bytes;
  }
  return block;
}

void Arena::release(void* memory) {
  if (memory == nullptr) return;
  auto at = blocks_.find(static_cast<char*>(memory));
  at->second.used = false;
  const auto join = [&](Blocks::iterator left, Blocks::iterator right) {
    if (left->second.used || right->second.used || right->second.starts_piece) return left;
    left->second.bytes += right->second.bytes;
    blocks_.erase(right);
    return left;
  };
  if (const auto next = std::next(at); next != blocks_.end()) join(at, next);
  if (at != blocks_.begin() && !at->second.starts_piece) at = join(std::prev(at), at);
}

}  // namespace dmoerm::cuda
