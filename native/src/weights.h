#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dmoerm/engine.h"
#include "dmoerm/ops.h"
#include "mapped_file.h"
#include "packed_file.h"

namespace dmoerm {

/// Sizes (out, in) of a linear layer.
struct LinearShape {
  int64_t out = 0;
  int64_t in = 0;
};

LinearShape linear_shape(const ModelConfig& config, Target target);

/// Name in canonical tensor names, e.g. "self_attn.q_proj".
const char* target_name(Target target);

/// One decoder layer.
struct LayerWeights {
  std::vector<float> input_norm;      ///< (C)
  std::vector<float> post_norm;       ///< (C), before the MLP
  std::vector<float> q_norm, k_norm;  ///< (D), empty without q/k norm
  std::array<Matrix, kTargetCount> linear;
  std::array<std::vector<float>, kTargetCount> bias;  ///< empty without bias

  const Matrix& matrix(Target t) const { return linear[static_cast<size_t>(t)]; }
  const float* bias_of(Target t) const {
    const auto& b = bias[static_cast<size_t>(t)];
    return b.empty() ? nullptr : b.data();
  }
};

/// Token embeddings where they lie in the file, decoded row by row.
struct EmbeddingTable {
  TensorType type = TensorType::kF32;
  int64_t width = 0;
  const uint8_t* bytes = nullptr;

  void row(float* out, int32_t token) const;
};

/// What ops read beside matrices, where they read it: the vectors and table of `BaseWeights`, or a device's copies.
struct Constants {
  struct Layer {
    const float *input_norm = nullptr, *post_norm = nullptr;
    const float *q_norm = nullptr, *k_norm = nullptr;  ///< null without q/k norm
    std::array<const float*, kTargetCount> bias{};     ///< null without bias
  };
  TensorType table_type = TensorType::kF32;  ///< of the embeddings
  const uint8_t* table = nullptr;
  const float* norm = nullptr;
  std::vector<Layer> layers;
  std::vector<Buffer<uint8_t>> copies;
};

/// A base in memory. Owns what its parts point into.
struct BaseWeights {
  ModelConfig config;
  WeightType type = WeightType::kF32;  ///< of the linear layers
  EmbeddingTable embedding;
  std::vector<LayerWeights> layers;
  std::vector<float> norm;  ///< (C), final
  Constants constants;
  PackedState packed_state = PackedState::kNotCached;
  std::optional<TensorSource> head;  ///< (V,C), the language model's if it has one of its own

  std::unique_ptr<TensorReader> reader;
  PackedFile packed;

  int64_t bytes() const;  ///< linear layers and embeddings
};

/// Packed weights are mapped from the directory `cache` and kept there, unless it is empty. Throws DATA_LOSS
/// naming the tensor: missing, wrong shape, out of bounds, non-finite.
BaseWeights load_base(const ModelSource& source, WeightType type, const std::string& cache,
                      const Ops& ops, ThreadPool& pool);

/// The language-model head (V,C): logits = head x. Throws FAILED_PRECONDITION if the base came without one,
/// DATA_LOSS naming the tensor.
Matrix load_head(const BaseWeights& base, const Ops& ops, ThreadPool& pool);

}  // namespace dmoerm
