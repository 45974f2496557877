#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dmoerm/trainer.h"
#include "network.h"
#include "parameters.h"

namespace dmoerm::train {

/// "experts.2."
std::string expert_prefix(size_t expert);

/// The base and what is learned on it: parameters, and their packed forms for both directions.
struct LearnedModel {
  LearnedModel(const ModelSource& source, const TrainerOptions& wanted);

  /// Packs what has changed since the last pass.
  void pack();
  /// The embeddings as an output layer.
  void pack_embedding();
  /// y (T, w.N) = x w^T
  void product(float* y, const float* x, int64_t T, const Matrix& w);
  /// The rows' embeddings, into `hidden`.
  void embed(const Plan& plan);

  const TrainerOptions options;
  const Ops& ops;
  const GradientOps& gradients;
  const std::unique_ptr<Memory> device;  ///< outlives what lies in its memory
  ThreadPool pool;
  ModelConfig config;
  LearnedBase base;
  Parameters parameters;
  std::vector<LearnedAdapter> adapters;
  std::set<int64_t> changed;  ///< units to be packed
  std::unique_ptr<Network> network;
  Matrix embedding, embedding_transposed;  ///< (V,C) and (C,V), for next tokens
  bool embedding_packed = false;
  Scratch scratch;
  PackedRows packed_rows;
  Buffer<float> hidden, dhidden, logits, normed, dnormed, turned;

 private:
  /// Linear layers with the task's adapter, forward where it acts, transposed where gradients pass.
  void load_linear(const ModelSource& source);
  /// w += scale b a
  void merge(std::vector<float>& w, const LoraSource& lora, const TensorReader& reader,
             const LinearShape& shape);
  /// out <- w^T; w (N,K), in the host's memory
  void pack_transposed(Matrix& out, const float* w, int64_t N, int64_t K);
  /// A parameter's values, in the host's memory.
  std::vector<float> values_of(const Parameter& parameter);
  void add_base(const ModelSource& source);
  /// After the last `add`: parameters no longer move.
  void refer_to_base();
  void add_expert(size_t e);
  void pack_base();
  void pack_expert(size_t e);
};

}  // namespace dmoerm::train
