#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dmoerm/ops.h"
#include "dmoerm/tensor.h"

namespace dmoerm {

/// Shape of a base; the same fields as `ModelConfig` of packages/weights, where they are
/// documented.
struct ModelConfig {
  int64_t hidden_size = 0;
  int64_t layer_count = 0;
  int64_t head_count = 0;
  int64_t kv_head_count = 0;
  int64_t head_dim = 0;
  int64_t ffn_size = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  float rms_norm_eps = 0;
  std::vector<double> inverse_frequencies;
  double rope_scale = 1;
  std::vector<int64_t> sliding_windows;
  bool tied_embeddings = true;
};

/// A base on disk: canonical tensor names as in packages/weights.
struct ModelSource {
  ModelConfig config;
  std::vector<std::string> files;
  std::vector<TensorSource> tensors;
};

/// Linear layers that LoRA acts on.
enum class Target { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kTargetCount = 7;

/// y += scale B A x on one linear layer of one decoder layer; A (R,in), B (out,R).
struct LoraSource {
  int64_t layer = 0;
  Target target = Target::kQ;
  int64_t rank = 0;
  float scale = 1;
  TensorSource a;
  TensorSource b;
};

/// One capability expert: adapter (may be empty), value head, and for the readout plan its
/// invocation tokens.
struct ExpertSource {
  std::vector<LoraSource> adapter;
  std::vector<int32_t> invocation_tokens;
  std::vector<float> head_weight;  ///< (C)
  float head_bias = 0;
};

/// How the experts of a task share the base pass (architecture, section 5).
enum class PlanType {
  kFull,       ///< adapters on any layer, all rows
  kTopLayers,  ///< adapters on the top layers only, all rows
  kReadout,    ///< adapters on appended invocation tokens only
};

/// A task: its plan, its own adapter on all rows (may be empty), and its experts.
struct TaskSource {
  PlanType plan = PlanType::kFull;
  int64_t top_layers = 0;
  std::vector<std::string> files;
  std::vector<LoraSource> adapter;
  std::vector<ExpertSource> experts;
};

/// One response to score.
struct Candidate {
  int64_t prompt = 0;  ///< index into `Batch::prompts`
  std::vector<int32_t> tokens;
};

/// Prompts and their candidates for one task: a forest of token sequences without padding.
struct Batch {
  int64_t task = 0;  ///< handle of `Engine::add_task`
  std::vector<std::vector<int32_t>> prompts;
  std::vector<Candidate> candidates;
};

/// What the K experts of a task say of a batch's N candidates.
struct Outputs {
  std::vector<float>
      embeddings;             ///< (N,K,C): hidden state after the final norm at the pooled token
  std::vector<float> scores;  ///< (N,K): value heads
};

/// Outputs of one call.
struct Evaluation {
  std::vector<Outputs> outputs;  ///< by batch
  int64_t engine_ns = 0;
};

/// How the next token is chosen.
struct Sampling {
  float temperature = 1;  ///< 0: the likeliest, the lower id of equals
  float top_p =
      1;  ///< only the likeliest tokens that together reach it (nucleus sampling, arXiv 1904.09751)
  int64_t max_tokens = 0;
  std::vector<int32_t> stop_tokens;  ///< one of them ends a completion, and is its last token
};

/// A prompt to be continued.
struct GenerationPrompt {
  std::vector<int32_t> tokens;
  uint64_t seed = 0;  ///< of its random numbers
};

/// Prompts to be continued `samples` times each.
struct Generation {
  int64_t task = 0;  ///< its adapter of all rows is the policy's; 0: the base alone
  std::vector<GenerationPrompt> prompts;
  int64_t samples = 1;
  Sampling sampling;
  int64_t max_sequences = 64;  ///< in flight: bounds the memory of their keys and values
};

/// One continuation.
struct Completion {
  std::vector<int32_t> tokens;
  std::vector<float> log_probs;  ///< of each token: the model's own, before temperature and top_p
  bool stopped = false;          ///< by a stop token, not by `max_tokens`
};

struct EngineOptions {
  /// None: the machine's best (see `default_weight_type`).
  std::optional<WeightType> weight_type;
  int threads = 0;  ///< 0: all cores
  std::string isa = "auto";
  /// Folder for packed weights, mapped at the next start; empty: they are packed at every start.
  std::string cache;
  /// Most rows in flight: larger batches are computed in parts. Bounds the memory of activations; a
  /// single conversation may exceed it.
  int64_t max_rows = 8192;
};

/// Where the packed weights came from.
enum class PackedState {
  kNotCached,
  kWritten,      ///< packed and kept for the next start
  kMapped,       ///< from an earlier start
  kNotWritable,  ///< packed; the folder cannot be written
};

/// Bytes in use.
struct EngineMemory {
  int64_t base = 0;       ///< linear layers and embeddings, mapped files included
  int64_t tasks = 0;      ///< adapters and heads
  int64_t workspace = 0;  ///< activations of the largest batch so far
};

/// One resident base and the tasks on it. One call runs at a time; calls from several threads wait
/// for one another.
class Engine {
 public:
  /// Loads and packs the base. Throws DATA_LOSS for missing tensors, wrong shapes and non-finite
  /// weights.
  Engine(const ModelSource& source, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Loads a task's adapters and heads; returns its handle. Throws INVALID_ARGUMENT if they break
  /// the plan.
  int64_t add_task(const TaskSource& source);

  /// Frees a task. Throws NOT_FOUND.
  void remove_task(int64_t task);

  /// Scores; tasks that fork in the same layer share forward passes. A candidate's numbers depend on
  /// its own tokens, prompt and task only, to the bit. Throws INVALID_ARGUMENT naming the prompt or
  /// candidate, e.g. `batches[0].candidates[2]`, NOT_FOUND for a task, CANCELLED between layers once
  /// `cancelled` is set.
  Evaluation evaluate(const std::vector<Batch>& batches, const std::atomic<bool>& cancelled);

  /// Continues prompts; `samples` completions of the first, then of the second and so on. Each depends on its own
  /// prompt, seed and number only, to the bit, and log-probabilities are those of one forward pass over the whole
  /// sequence. Throws INVALID_ARGUMENT naming the field, NOT_FOUND for a task, CANCELLED between layers,
  /// FAILED_PRECONDITION if the model's logits are not finite.
  std::vector<Completion> generate(const Generation& generation,
                                   const std::atomic<bool>& cancelled);

  EngineMemory memory();

  const char* isa() const;
  int threads() const;
  WeightType weight_type() const;
  PackedState packed_state() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmoerm
