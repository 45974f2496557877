#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/engine.h"
#include "weights.h"

namespace dmoerm {

/// LoRA on one linear layer, packed; the scale is folded into b.
struct LoraWeights {
  PackedMatrix a;  ///< (R,in)
  PackedMatrix b;  ///< (out,R)

  bool empty() const { return a.empty(); }
};

/// An adapter: at most one LoRA per linear layer. Two adapters on the same rows are one of
/// concatenated rank.
class AdapterWeights {
 public:
  const LoraWeights* find(int64_t layer, Target target) const {
    const size_t at = static_cast<size_t>(layer) * kTargetCount + static_cast<size_t>(target);
    return at < modules_.size() && !modules_[at].empty() ? &modules_[at] : nullptr;
  }

 private:
  friend AdapterWeights load_adapter(const std::vector<const LoraSource*>&, const TensorReader&,
                                     const ModelConfig&, WeightType, const Ops&, ThreadPool&);
  std::vector<LoraWeights> modules_;
};

/// Sums the given modules (several may act on one linear layer), packed as the base is: rows are
/// packed once for both. Throws DATA_LOSS naming the
/// tensor.
AdapterWeights load_adapter(const std::vector<const LoraSource*>& modules,
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
};

/// Throws INVALID_ARGUMENT if the experts break the plan, DATA_LOSS for bad tensors.
Task load_task(const TaskSource& source, const ModelConfig& config, WeightType type, const Ops& ops,
               ThreadPool& pool);

}  // namespace dmoerm
