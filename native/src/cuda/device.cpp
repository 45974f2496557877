#include "device.h"

#include <algorithm>
#include <cstring>

#include "kernels.h"

namespace dmoerm::cuda {
namespace {

constexpr int64_t kStaging = 4 << 20;
constexpr int64_t kAlign = 256;
constexpr size_t kRemembered = 64;  // looked through for the same bytes

}  // namespace

Device::Device() : stream_(runtime::create_stream()) {
  grow_staging(kStaging);
  zeros_ = static_cast<uint8_t*>(arena_.allocate(kZeroBytes));
  const std::vector<uint8_t> zeros(kZeroBytes, 0);
  write(zeros_, zeros.data(), kZeroBytes);
}

Device::~Device() {
  runtime::synchronize(stream_);
  runtime::release_pinned(pinned_);
  runtime::destroy_stream(stream_);
}

Global<const uint8_t> Device::zeros() const { return {zeros_, kZeroBytes}; }

void* Device::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  return arena_.allocate(static_cast<int64_t>(bytes));
}

// The stream is in order: whoever gets the memory next uses it after the kernels that are still queued.
void Device::release(void* memory) {
  const std::lock_guard lock(mutex_);
  arena_.release(memory);
}

void Device::write(void* to, const void* from, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  runtime::copy_to_device(to, from, bytes, stream_);
  runtime::synchronize(stream_);
}

void Device::read(void* to, const void* from, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  runtime::copy_to_host(to, from, bytes, stream_);
  runtime::synchronize(stream_);
}

void Device::grow_staging(int64_t bytes) {
  runtime::synchronize(stream_);
  runtime::release_pinned(pinned_);
  arena_.release(staging_);
  pinned_ = nullptr;
  staging_ = nullptr;
  staging_bytes_ = bytes;
  pinned_ = static_cast<uint8_t*>(runtime::allocate_pinned(bytes));
  staging_ = static_cast<uint8_t*>(arena_.allocate(bytes));
  next_ = 0;
  staged_.clear();
}

void Device::begin_staging(int64_t arrays, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const int64_t needed = bytes + arrays * kAlign;
  if (next_ + needed <= staging_bytes_) return;
  if (needed > staging_bytes_) return grow_staging(2 * needed);
  // Copies from the pinned bytes that are overwritten from now on may still be queued.
  runtime::synchronize(stream_);
  next_ = 0;
  staged_.clear();
}

const void* Device::stage_bytes(const void* from, int64_t bytes) {
  if (bytes == 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const size_t first = staged_.size() > kRemembered ? staged_.size() - kRemembered : 0;
  for (size_t i = staged_.size(); i-- > first;)
    if (staged_[i].bytes == bytes &&
        std::memcmp(pinned_ + staged_[i].offset, from, static_cast<size_t>(bytes)) == 0)
      return staging_ + staged_[i].offset;
  std::memcpy(pinned_ + next_, from, static_cast<size_t>(bytes));
  runtime::copy_to_device(staging_ + next_, pinned_ + next_, bytes, stream_);
  staged_.push_back({next_, bytes});
  next_ = (next_ + bytes + kAlign - 1) / kAlign * kAlign;
  return staging_ + staged_.back().offset;
}

}  // namespace dmoerm::cuda
