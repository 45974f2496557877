#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dmoerm/engine.h"
#include "dmoerm/gradient_ops.h"

namespace dmoerm {

/// LoRA to be learned on one linear layer: y += scale B A x, A (rank,in), B (out,rank).
struct LoraShape {
  int64_t layer = 0;
  Target target = Target::kQ;
  int64_t rank = 0;
  float scale = 1;
};

/// An expert to be learned: its adapter (may be empty) and its value head.
struct LearnerSource {
  std::vector<LoraShape> adapter;
  float dropout = 0;  ///< share of the adapter's inputs that are left out in a training pass
  std::vector<int32_t> invocation_tokens;  ///< readout plan only
};

/// What a trainer learns, and on what.
struct TrainerOptions {
  WeightType weight_type = WeightType::kBF16;  ///< kF32 or kBF16: of products, forward and backward
  int threads = 0;                             ///< 0: all cores
  std::string isa = "auto";
  PlanType plan = PlanType::kFull;
  int64_t top_layers = 0;
  /// The base's own tensors too; then there is one expert without an adapter.
  bool train_base = false;
  /// Of the task, on all rows (may be empty): merged into the base, and not learned.
  std::vector<LoraSource> task_adapter;
  std::vector<std::string> files;  ///< of `task_adapter`
  std::vector<LearnerSource> experts;
};

/// Two candidates of a batch to be told apart: adds weight (softplus(z) - target z) to the loss, z = s_first - s_second,
/// which is the cross-entropy of sigmoid(z) for `target`: 1 if the first is better, 0.5 for a tie.
struct PairTarget {
  int64_t first = 0;
  int64_t second = 0;
  float target = 1;
  float weight = 1;
};

/// What one expert learns from: `batch.task` is its index.
struct TrainBatch {
  Batch batch;
  std::vector<PairTarget> pairs;
  /// Times the negative log-likelihood of each candidate token, candidate after candidate; 0: it is not asked for, and
  /// must be where nothing comes before it. Empty: not a language model.
  std::vector<float> token_weights;
  /// (rows, C) that enter the fork layer, by prompt and then its candidates, as `trunk` gives them; empty: computed.
  std::vector<float> trunk;
};

/// What a pass over one batch gave.
struct BatchLoss {
  double pair_loss = 0;
  double token_loss = 0;
  /// Of the tokens that were asked for, ln p; 0 for the others. As many as weights.
  std::vector<float> token_logprobs;
  std::vector<float> scores;      ///< (N)
  std::vector<float> embeddings;  ///< (N,C)
};

/// The unit of the base's own parameters in `update`; experts' are their indices.
inline constexpr int64_t kBaseUnit = -1;

enum class ParameterField { kValue, kGradient, kFirstMoment, kSecondMoment };

/// Name and shape of a parameter: "experts.2.layers.5.self_attn.q_proj.lora_A" (rank,in), "....lora_B" (out,rank),
/// "experts.2.head.weight" (C), "experts.2.head.bias" (1), and the base's canonical tensor names.
struct ParameterInfo {
  std::string name;
  std::vector<int64_t> shape;
};

/// Learns experts, or a whole base, by gradients (backward of the engine's forward pass). An expert's numbers depend on
/// its own batches only, to the bit, whatever is trained beside it. One call runs at a time.
class Trainer {
 public:
  /// Loads the base. Adapters, heads and moments are 0. Throws as Engine and `Engine::add_task` do.
  Trainer(const ModelSource& source, const TrainerOptions& options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  std::vector<ParameterInfo> parameters() const;
  /// Throws NOT_FOUND.
  std::vector<float> read(const std::string& name, ParameterField field) const;
  /// Throws NOT_FOUND; INVALID_ARGUMENT for a wrong count or values that are not finite.
  void write(const std::string& name, ParameterField field, const std::vector<float>& values);

  /// Losses of the batches. With `learn` their derivatives are added to the gradients, and adapters' inputs are dropped
  /// out by `seed`. Throws as Engine::evaluate.
  std::vector<BatchLoss> pass(const std::vector<TrainBatch>& batches, bool learn, uint64_t seed,
                              const std::atomic<bool>& cancelled);

  /// One step of AdamW on an expert or the base, its head at `head_rate`; see train::update. Returns the gradient's
  /// length.
  double update(int64_t unit, const AdamStep& step, float head_rate, double clip);

  /// Rows that enter the fork layer of the plan `top_layers`: what `TrainBatch::trunk` takes. (rows, C)
  std::vector<float> trunk(const Batch& batch, const std::atomic<bool>& cancelled);

  const char* isa() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmoerm
