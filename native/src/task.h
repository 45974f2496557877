#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dmoerm/engine.h"
#include "weights.h"

namespace dmoerm {

/// Linear layers that read the same rows: one down product serves the adapters of all of them.
enum class Site { kAttention, kOutput, kMlp, kDown };
inline constexpr int kSiteCount = 4;

Site site_of(Target target);

/// LoRA on one linear layer, in memory: y += scale b a x, a (rank,in), b (out,rank).
struct LoraModule {
  int64_t layer = 0;
  Target target = Target::kQ;
  int64_t rank = 0;
  float scale = 1;
  const float* a = nullptr;
  const float* b = nullptr;
};

/// An adapter, packed; the scale is folded into b. Two adapters on the same rows are one of
/// concatenated rank.
class AdapterWeights {
 public:
  /// The down halves (R,in) of a site's linear layers, one below the other; null if there is none.
  const Matrix* down(int64_t layer, Site site) const {
    return present(downs_, static_cast<size_t>(layer) * kSiteCount + static_cast<size_t>(site));
  }

  /// The up half of one linear layer and where its part of the down product begins.
  LoraUp up(int64_t layer, Target target) const {
    const size_t at = static_cast<size_t>(layer) * kTargetCount + static_cast<size_t>(target);
    const Matrix* b = present(ups_, at);
    return {b, b == nullptr ? 0 : offsets_[at]};
  }

  int64_t bytes() const;

 private:
  static const Matrix* present(const std::vector<Matrix>& all, size_t at) {
    return at < all.size() && !all[at].empty() ? &all[at] : nullptr;
  }

  friend AdapterWeights pack_adapter(const std::vector<LoraModule>&, const ModelConfig&, WeightType,
                                     const Ops&, ThreadPool&);
  std::vector<Matrix> downs_;  ///< by layer and site
  std::vector<Matrix> ups_;    ///< by layer and target
  std::vector<int64_t> offsets_;
};

/// Throws INVALID_ARGUMENT, reason ADAPTER_FOR_ANOTHER_BASE or BAD_ADAPTER, if a module does not fit the base.
void check_module(const LoraSource& module, const ModelConfig& config, const std::string& field);

/// The type of adapters beside a base of `type`: at least bfloat16.
WeightType lora_type(WeightType type);

/// Sums the given modules: several may act on one linear layer.
AdapterWeights pack_adapter(const std::vector<LoraModule>& modules, const ModelConfig& config,
                            WeightType type, const Ops& ops, ThreadPool& pool);

/// The same from files. Throws DATA_LOSS naming the tensor.
AdapterWeights load_adapter(const std::vector<const LoraSource*>& sources,
                            const TensorReader& reader, const ModelConfig& config, WeightType type,
                            const Ops& ops, ThreadPool& pool);

/// One expert in memory.
struct Expert {
  AdapterWeights adapter;  ///< with the task's own adapter added
  std::vector<int32_t> invocation_tokens;
  std::vector<float> head_weight;
  float head_bias = 0;
};

/// A task in memory.
struct Task {
  PlanType plan = PlanType::kFull;
  /// First layer in which experts differ: before it their rows are computed once. `layer_count` if
  /// they never do.
  int64_t fork_layer = 0;
  AdapterWeights adapter;
  std::vector<Expert> experts;

  int64_t bytes() const;            ///< adapters and heads
  int64_t longest_readout() const;  ///< most invocation tokens
};

/// For a base of `type`. Throws INVALID_ARGUMENT if the experts break the plan, DATA_LOSS for bad
/// tensors.
Task load_task(const TaskSource& source, const ModelConfig& config, WeightType type, const Ops& ops,
               ThreadPool& pool);

}  // namespace dmoerm
