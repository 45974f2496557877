#pragma once

#include <atomic>
#include <vector>

#include "dmoerm/ops.h"
#include "plan.h"
#include "weights.h"

namespace dmoerm {

/// RoPE's cosines and sines (positions, D/2), grown as longer sequences come.
class RopeTable {
 public:
  void reserve(const ModelConfig& config, int64_t positions, Memory& memory = host_memory());
  const float* cosines() const { return cosines_.data(); }
  const float* sines() const { return sines_.data(); }
  int64_t bytes() const {
    return (cosines_.capacity() + sines_.capacity()) * static_cast<int64_t>(sizeof(float));
  }

 private:
  int64_t positions_ = 0;
  Buffer<float> cosines_;
  Buffer<float> sines_;
};

/// Rows packed for the base, and for adapters where those ask for another type.
struct PackedInput {
  PackedRows base;
  PackedRows lora;
};

/// Activations, kept between calls.
struct Workspace {
  Buffer<float> hidden, query, key, value, attended, ffn, forked, normed;
  PackedInput input;          ///< rows on their way into a linear layer
  PackedInput gated;          ///< the MLP's inner rows, a stretch at a time
  PackedRows low_rank;        ///< down products of adapters
  PackedRows gated_low_rank;  ///< those of `gated`
  /// What experts have in common in the layer where they fork.
  struct Fork {
    Buffer<float> hidden, query, key, value;
    PackedInput input, pooled_input;
  } fork;
  Scratch scratch;
  RopeTable rope;

  int64_t bytes() const;
};

/// The forward pass of one plan, at most about `max_rows` rows at a time where experts fork.
/// Returns the embeddings of its pooled rows (pooled, C), task by task; of tasks that fork, expert by expert and
/// then candidate. Throws CANCELLED between layers.
std::vector<float> forward(const Plan& plan, const BaseWeights& base, const Ops& ops,
                           ThreadPool& pool, Workspace& workspace, int64_t max_rows,
                           const std::atomic<bool>& cancelled);

/// The same for a plan that never forks, whose segments' spans name rows of `kept`, one store per layer. The
/// last rows of a segment's last span are its own and are written; the others are there from earlier passes.
std::vector<float> forward(const Plan& plan, const BaseWeights& base, const Ops& ops,
                           ThreadPool& pool, Workspace& workspace, std::vector<KeyValues>& kept,
                           const std::atomic<bool>& cancelled);

}  // namespace dmoerm
