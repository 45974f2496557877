#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "dmoerm/gradient_ops.h"
#include "model.h"
#include "parameters.h"
#include "plan.h"
#include "weights.h"

namespace dmoerm::train {

/// Where the gradients of one linear layer's LoRA go; null parameters: it has none.
struct LearnedLora {
  Parameter* a = nullptr;  ///< (rank,in)
  Parameter* b = nullptr;  ///< (out,rank)
  float scale = 1;
};

/// An adapter that is learned, packed for both directions.
struct LearnedAdapter {
  AdapterWeights forward;
  /// By layer and target: scale B^T (rank,out) and A^T (in,rank), for derivatives by the input.
  std::vector<Matrix> down, up;
  std::vector<LearnedLora> modules;  ///< by layer and target
  float dropout = 0;

  static size_t at(int64_t layer, Target target) {
    return static_cast<size_t>(layer) * kTargetCount + static_cast<size_t>(target);
  }
};

/// The base for both directions, and where its own gradients go if it is learned.
struct LearnedBase {
  BaseWeights weights;
  std::vector<Matrix> transposed;  ///< by layer and target: W^T, (in,out)

  /// Empty unless the base is learned.
  struct Layer {
    Parameter *input_norm = nullptr, *post_norm = nullptr, *q_norm = nullptr, *k_norm = nullptr;
    std::array<Parameter*, kTargetCount> weight{}, bias{};
  };
  std::vector<Layer> layers;
};

/// The rows of a pass. Rows before `first_learned` (the trunk of readouts) have no gradients and no adapters.
struct Layout {
  Plan plan;
  int64_t first_learned = 0;
  int64_t first_group = 0;                      ///< of the learned rows
  std::vector<const LearnedAdapter*> adapters;  ///< by group; null: none
  /// By group, of its dropout: the same rows with the same seed drop the same inputs.
  std::vector<uint64_t> seeds;
};

/// What the backward pass needs of one layer: learned rows only, but for keys and values.
struct LayerTape {
  Buffer<float> input, query, key, value, raw_query, raw_key, attended, middle, gate, up;
};

/// Forward and backward pass over a layout. Buffers are kept between calls.
class Network {
 public:
  Network(const LearnedBase& base, const Ops& ops, const GradientOps& gradients, ThreadPool& pool);

  /// Layers [first, end) on hidden states (rows, C), in place. With `keep` the backward pass can follow, and adapters'
  /// inputs are dropped out. Throws CANCELLED between layers.
  void forward(const Layout& layout, Buffer<float>& hidden, int64_t first, int64_t end, bool keep,
               const std::atomic<bool>& cancelled);

  /// After a forward pass of layers [first, L): from the derivative by the last hidden states to that by the first,
  /// learned rows (rows, C), in place. Adds to the gradients of parameters.
  void backward(const Layout& layout, Buffer<float>& dhidden, int64_t first,
                const std::atomic<bool>& cancelled);

  /// gradient (N,K) += dy^T x over T rows, in the type of the base's products.
  void outer_product(Parameter& parameter, const float* dy, int64_t N, const float* x, int64_t K,
                     int64_t T);

 private:
  void lay_out(const Layout& layout);
  void attention_forward(int64_t l, Buffer<float>& hidden, bool keep);
  void mlp_forward(int64_t l, Buffer<float>& hidden, bool keep);
  void attention_backward(int64_t l, Buffer<float>& dhidden);
  void mlp_backward(int64_t l, Buffer<float>& dhidden);
  void reserve(Buffer<float>& buffer, int64_t count);
  void site_forward(const Rows& rows, int64_t l, Site site, const float* x, bool keep);
  void project(float* y, const Rows& rows, int64_t l, Target target, bool accumulate);
  void adapter_input(int64_t l, Site site, const float* x);
  void linear_backward(int64_t l, Target target, const float* x, const float* dy, float* dx,
                       bool accumulate);
  void adapter_gradients(int64_t l, Target target, int64_t group, const float* dy);
  void weight_gradients(int64_t l, Target target, const float* x, const float* dy);
  void norm_backward(float* dx, Parameter* weight, const float* dy, const float* x,
                     const float* values, int64_t T);
  void rotate(float* x, const std::vector<int32_t>& positions, int64_t heads, const float* sines);
  const float* drop_out(Buffer<float>& out, const Rows& rows, int64_t l, Site site, const float* x,
                        int64_t K);
  void keep_rows(Buffer<float>& out, const float* x, int64_t width);
  AttentionShape attention_shape(int64_t l) const;
  void pack(PackedRows& out, const Rows& rows, const float* x, int64_t K);

  const LearnedBase& base_;
  const BaseWeights& weights_;
  const ModelConfig& c_;
  const Ops& ops_;
  const GradientOps& gradients_;
  ThreadPool& pool_;
  const RowType type_;

  const Layout* layout_ = nullptr;
  Rows all_;      ///< the layout's rows
  Rows learned_;  ///< those that are learned, counted from 0; their keys are among all rows
  bool drops_ = false;

  RopeTable rope_;
  Buffer<float> minus_sines_;
  std::vector<LayerTape> tapes_;
  Scratch scratch_;
  PackedRows input_, lora_input_, low_rank_;
  const float* seen_ = nullptr;  ///< what adapters saw of a site's input, learned rows
  PackedRows input_too_;
  Matrix turned_matrix_;
  Buffer<float> normed_, dropped_, query_, key_, value_, attended_, gate_, up_, inner_;
  Buffer<float> dnormed_, dattended_, dquery_, dkey_, dvalue_, dinner_, masked_, masked_too_,
      draw_query_, draw_key_, products_, derivatives_, turned_, turned_too_;
};

}  // namespace dmoerm::train
