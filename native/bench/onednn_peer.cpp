#include "onednn_peer.h"

#include <omp.h>

#include <cstring>
#include <unordered_map>

#include "dnnl.hpp"

namespace dmoerm::bench {
namespace {

using dnnl::memory;

class Peer : public OnednnPeer {
 public:
  Peer(memory::data_type x, memory::data_type w, int64_t M, int64_t N, int64_t K)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using Tag = memory::format_tag;
    const memory::desc xs({M, K}, x, Tag::ab), ws({K, N}, w, Tag::any),
        ys({M, N}, memory::data_type::f32, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc primitive(engine_, xs, ws, ys);
#else
    const dnnl::matmul::primitive_desc primitive(dnnl::matmul::desc(xs, ws, ys), engine_);
#endif
    matmul_ = dnnl::matmul(primitive);
    for (const auto& [argument, desc] : {std::pair{DNNL_ARG_SRC, xs},
                                         {DNNL_ARG_WEIGHTS, primitive.weights_desc()},
                                         {DNNL_ARG_DST, ys}}) {
      memory buffer(desc, engine_);
      fill(buffer, desc.get_size(), argument == DNNL_ARG_SRC ? x : w);
      arguments_.emplace(argument, buffer);
    }
  }

  void run() override {
    matmul_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  /// Small numbers: no denormals, no overflow.
  static void fill(memory& buffer, size_t bytes, memory::data_type type) {
    auto* data = static_cast<uint8_t*>(buffer.get_data_handle());
    uint32_t state = 7;
    const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 20; };
    if (type == memory::data_type::f32)
      for (size_t i = 0; i + 4 <= bytes; i += 4) {
        const float value = static_cast<float>(next()) / 4096.0f - 0.5f;
        std::memcpy(data + i, &value, 4);
      }
    else if (type == memory::data_type::bf16)
      for (size_t i = 0; i + 2 <= bytes; i += 2) {
        const float value = static_cast<float>(next()) / 4096.0f - 0.5f;
        std::memcpy(data + i, reinterpret_cast<const uint8_t*>(&value) + 2, 2);
      }
    else
      for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<uint8_t>(next());
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul matmul_;
  std::unordered_map<int, memory> arguments_;
};

}  // namespace

std::unique_ptr<OnednnPeer> make_onednn_peer(const std::string& type, int64_t M, int64_t N,
                                             int64_t K, int threads) {
  using Type = memory::data_type;
  omp_set_num_threads(threads);
  if (type == "f32") return std::make_unique<Peer>(Type::f32, Type::f32, M, N, K);
  if (type == "bf16") return std::make_unique<Peer>(Type::bf16, Type::bf16, M, N, K);
  return std::make_unique<Peer>(Type::u8, Type::s8, M, N, K);
}

}  // namespace dmoerm::bench
