#pragma once

#include <cstdint>
#include <map>

namespace dmoerm::cuda {

/// Device memory in a few large pieces, handed out in small ones: what is given back is used again, and no call waits
/// for the device, as the runtime's own would.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// 256-byte aligned. Throws RESOURCE_EXHAUSTED.
  void* allocate(int64_t bytes);
  void release(void* memory);

 private:
  struct Block {
    int64_t bytes = 0;
    bool used = false;
    bool starts_piece = false;
  };
  using Blocks = std::map<char*, Block>;

  Blocks::iterator split(Blocks::iterator block, int64_t bytes);

  Blocks blocks_;  ///< by address; neighbours of a piece follow one another
};

}  // namespace dmoerm::cuda
