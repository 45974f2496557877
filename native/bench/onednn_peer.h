#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace dmoerm::bench {

/// A product y (M,N) = x (M,K) w^T in oneDNN, weights in the layout it likes best.
class OnednnPeer {
 public:
  virtual ~OnednnPeer() = default;
  virtual void run() = 0;
};

/// `type` "f32", "bf16" (result in float32) or "int8" (u8 x s8, result in float32). Null where oneDNN was
/// not there when this was built.
std::unique_ptr<OnednnPeer> make_onednn_peer(const std::string& type, int64_t M, int64_t N,
                                             int64_t K, int threads);

}  // namespace dmoerm::bench
