#pragma once

#include <atomic>
#include <vector>

#include "dmoerm/ops.h"
#include "plan.h"
#include "task.h"
#include "weights.h"

namespace dmoerm {

/// RoPE's cosines and sines (positions, D/2), grown as longer sequences come.
class RopeTable {
 public:
  void reserve(const ModelConfig& config, int64_t positions);
  const float* cosines() const { return cosines_.data(); }
  const float* sines() const { return sines_.data(); }

 private:
  int64_t positions_ = 0;
  std::vector<float> cosines_;
  std::vector<float> sines_;
};

/// Activations, kept between calls.
struct Workspace {
  Buffer<float> hidden, normed, query, key, value, attended, gate, up, low_rank, forked;
  PackedRows packed, packed_query, packed_low_rank;
  AttentionScratch attention;
  RopeTable rope;
};

/// The forward pass of one plan.
/// Returns embeddings: (pooled rows, C); after a fork expert by expert, (K * pooled rows, C).
/// Throws CANCELLED between layers.
std::vector<float> forward(const Plan& plan, const Task& task, const BaseWeights& base,
                           const Ops& ops, ThreadPool& pool, Workspace& workspace,
                           const std::atomic<bool>& cancelled);

}  // namespace dmoerm
