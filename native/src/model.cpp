#include "model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

/// Rows of the MLP computed at a time: bounds the memory of its wide activations.
constexpr int64_t kMlpRows = 80 * kPanelRows;

class Forward {
 public:
  Forward(const Plan& plan, const Task& task, const BaseWeights& base, const Ops& ops,
          ThreadPool& pool, Workspace& w)
      : plan_(plan), task_(task), base_(base), c_(base.config), ops_(ops), pool_(pool), w_(w) {
    rows_ = static_cast<int64_t>(plan.tokens.size());
    groups_ = plan.groups;
    positions_ = plan.positions;
    segments_ = plan.segments;
    adapters_.assign(1, &task.adapter);
    if (task.plan == PlanType::kReadout)
      for (const Expert& expert : task.experts) adapters_.push_back(&expert.adapter);
  }

  std::vector<float> run(const std::atomic<bool>& cancelled) {
    w_.rope.reserve(c_, plan_.longest);
    embed();
    for (int64_t l = 0; l < c_.layer_count; ++l) {
      if (cancelled.load(std::memory_order_relaxed))
        throw Error(Code::kCancelled, "CANCELLED", "", "the evaluation was cancelled");
      layer(l);
    }
    std::vector<float> embeddings(rows_ * c_.hidden_size);
    ops_.rms_norm(embeddings.data(), w_.hidden.data(), base_.norm.data(), rows_, c_.hidden_size,
                  c_.rms_norm_eps, pool_);
    return embeddings;
  }

 private:
  void embed() {
    w_.hidden.reserve(rows_ * c_.hidden_size);
    pool_.run(rows_, [&](int64_t row, int) {
      base_.embedding.row(w_.hidden.data() + row * c_.hidden_size, plan_.tokens[row]);
    });
  }

  void layer(int64_t l) {
    attention(l);
    mlp(l);
  }

  void attention(int64_t l) {
    const LayerWeights& layer = base_.layers[l];
    const int64_t C = c_.hidden_size;
    const bool last = l == c_.layer_count - 1;
    const bool fork = l == task_.fork_layer;

    normalise(w_.normed, w_.hidden.data(), layer.input_norm, rows_);
    ops_.pack_rows(w_.packed, w_.normed.data(), C, groups_, base_.type, pool_);
    project(w_.key, w_.packed, layer, l, Target::kK, rows_, fork);
    project(w_.value, w_.packed, layer, l, Target::kV, rows_, fork);

    // Keys and values of every row, but in the last layer only the pooled rows go on.
    const int64_t key_rows = fork ? rows_ * experts() : rows_;
    std::vector<int32_t> key_positions = fork ? repeat(positions_) : positions_;
    const int64_t trunk_key_rows = rows_;
    if (last) {
      gather(w_.normed, C);
      gather(w_.hidden, C);
      rows_ = static_cast<int64_t>(plan_.pooled_rows.size()) * (forked_ ? experts() : 1);
      groups_ = forked_ ? expert_groups(static_cast<int64_t>(plan_.pooled_rows.size()))
                        : plan_.pooled_groups;
      segments_ = plan_.pooled_segments;
      if (forked_)
        segments_ = repeat(segments_, static_cast<int64_t>(plan_.pooled_rows.size()),
                           trunk_key_rows / experts());
      positions_ = pooled_positions(key_positions, fork);
      ops_.pack_rows(w_.packed, w_.normed.data(), C, groups_, base_.type, pool_);
    }
    project(w_.query, w_.packed, layer, l, Target::kQ, rows_, fork);
    if (fork) {
      segments_ = repeat(segments_, rows_, trunk_key_rows);
      positions_ = repeat(positions_);
      replicate(w_.hidden, rows_ * C);
      groups_ = expert_groups(rows_);
      rows_ *= experts();
      adapters_.clear();
      for (const Expert& expert : task_.experts) adapters_.push_back(&expert.adapter);
      forked_ = true;
    }

    rotate(w_.query, layer.q_norm, positions_, c_.head_count);
    rotate(w_.key, layer.k_norm, key_positions, c_.kv_head_count);
    const AttentionShape shape{c_.head_count, c_.kv_head_count, c_.head_dim,
                               1.0f / std::sqrt(static_cast<float>(c_.head_dim)),
                               c_.sliding_windows[l]};
    const int64_t width = c_.head_count * c_.head_dim;
    w_.attended.reserve(rows_ * width);
    ops_.attention(w_.attended.data(), w_.query.data(), w_.key.data(), w_.value.data(), key_rows,
                   segments_, shape, w_.attention, pool_);
    ops_.pack_rows(w_.packed, w_.attended.data(), width, groups_, base_.type, pool_);
    add_projection(w_.hidden.data(), w_.packed, groups_, layer, l, Target::kO);
  }

  void mlp(int64_t l) {
    const LayerWeights& layer = base_.layers[l];
    const int64_t C = c_.hidden_size;
    normalise(w_.normed, w_.hidden.data(), layer.post_norm, rows_);
    w_.gate.reserve(std::min(rows_, kMlpRows) * c_.ffn_size);
    w_.up.reserve(std::min(rows_, kMlpRows) * c_.ffn_size);
    for (int64_t begin = 0; begin < rows_; begin += kMlpRows) {
      const int64_t count = std::min(kMlpRows, rows_ - begin);
      const std::vector<RowGroup> groups = clip(begin, count);
      ops_.pack_rows(w_.packed, w_.normed.data() + begin * C, C, groups, base_.type, pool_);
      set_projection(w_.gate.data(), w_.packed, groups, layer, l, Target::kGate);
      set_projection(w_.up.data(), w_.packed, groups, layer, l, Target::kUp);
      ops_.silu_mul(w_.gate.data(), w_.up.data(), count, c_.ffn_size, pool_);
      ops_.pack_rows(w_.packed, w_.gate.data(), c_.ffn_size, groups, base_.type, pool_);
      add_projection(w_.hidden.data() + begin * C, w_.packed, groups, layer, l, Target::kDown);
    }
  }

  /// y = x W^T + bias + the groups' LoRA. At the fork the base product is taken once and copied to
  /// every expert.
  void project(Buffer<float>& y, const PackedRows& x, const LayerWeights& layer, int64_t l,
               Target target, int64_t rows, bool fork) {
    const int64_t width = layer.matrix(target).N;
    y.reserve(rows * width);
    if (!fork) {
      set_projection(y.data(), x, groups_, layer, l, target);
      return;
    }
    ops_.linear(y.data(), x, 0, static_cast<int64_t>(x.panels.size()), layer.matrix(target),
                layer.bias_of(target), false, pool_);
    replicate(y, rows * width);
    for (int64_t e = 0; e < experts(); ++e)
      add_lora(y.data() + e * rows * width, x, 0, {0, rows},
               task_.experts[e].adapter.find(l, target));
  }

  void set_projection(float* y, const PackedRows& x, const std::vector<RowGroup>& groups,
                      const LayerWeights& layer, int64_t l, Target target) {
    ops_.linear(y, x, 0, static_cast<int64_t>(x.panels.size()), layer.matrix(target),
                layer.bias_of(target), false, pool_);
    add_loras(y, x, groups, l, target);
  }

  void add_projection(float* y, const PackedRows& x, const std::vector<RowGroup>& groups,
                      const LayerWeights& layer, int64_t l, Target target) {
    ops_.linear(y, x, 0, static_cast<int64_t>(x.panels.size()), layer.matrix(target),
                layer.bias_of(target), true, pool_);
    add_loras(y, x, groups, l, target);
  }

  void add_loras(float* y, const PackedRows& x, const std::vector<RowGroup>& groups, int64_t l,
                 Target target) {
    for (size_t g = 0; g < groups.size(); ++g)
      add_lora(y, x, static_cast<int64_t>(g), groups[g], adapters_[g]->find(l, target));
  }

  /// y[rows of the group] += (x A^T) B^T; x's group is `group`.
  void add_lora(float* y, const PackedRows& x, int64_t group, const RowGroup& rows,
                const LoraWeights* lora) {
    if (lora == nullptr || rows.count == 0) return;
    const int64_t rank = lora->a.N;
    w_.low_rank.reserve((rows.begin + rows.count) * rank);
    ops_.linear(w_.low_rank.data(), x, x.group_panels[group], x.group_panels[group + 1], lora->a,
                nullptr, false, pool_);
    ops_.pack_rows(w_.packed_low_rank, w_.low_rank.data(), rank, {rows}, base_.type, pool_);
    ops_.linear(y, w_.packed_low_rank, 0, static_cast<int64_t>(w_.packed_low_rank.panels.size()),
                lora->b, nullptr, true, pool_);
  }

  void normalise(Buffer<float>& out, const float* x, const std::vector<float>& weight,
                 int64_t rows) {
    out.reserve(rows * c_.hidden_size);
    ops_.rms_norm(out.data(), x, weight.data(), rows, c_.hidden_size, c_.rms_norm_eps, pool_);
  }

  /// Per-head norm where the model has one, then RoPE.
  void rotate(Buffer<float>& x, const std::vector<float>& norm,
              const std::vector<int32_t>& positions, int64_t heads) {
    const auto rows = static_cast<int64_t>(positions.size());
    if (!norm.empty())
      ops_.rms_norm(x.data(), x.data(), norm.data(), rows * heads, c_.head_dim, c_.rms_norm_eps,
                    pool_);
    ops_.rope(x.data(), positions.data(), w_.rope.cosines(), w_.rope.sines(), rows, heads,
              c_.head_dim, pool_);
  }

  /// Keeps the pooled rows of x (rows, width), in their order.
  void gather(Buffer<float>& x, int64_t width) {
    const int64_t copies = forked_ ? experts() : 1;
    const auto pooled = static_cast<int64_t>(plan_.pooled_rows.size());
    const int64_t stride = rows_ / copies;
    w_.forked.reserve(copies * pooled * width);
    for (int64_t e = 0; e < copies; ++e)
      for (int64_t i = 0; i < pooled; ++i) {
        const float* from = x.data() + (e * stride + plan_.pooled_rows[i]) * width;
        std::copy(from, from + width, w_.forked.data() + (e * pooled + i) * width);
      }
    std::swap(x, w_.forked);
  }

  std::vector<int32_t> pooled_positions(const std::vector<int32_t>& key_positions,
                                        bool fork) const {
    const int64_t copies = forked_ ? experts() : 1;
    const auto stride = static_cast<int64_t>(key_positions.size()) / (fork ? experts() : copies);
    std::vector<int32_t> positions;
    for (int64_t e = 0; e < copies; ++e)
      for (const int64_t row : plan_.pooled_rows)
        positions.push_back(key_positions[e * stride + row]);
    return positions;
  }

  /// K copies of the first `count` elements, one after another.
  void replicate(Buffer<float>& x, int64_t count) {
    w_.forked.reserve(experts() * count);
    pool_.run(experts(), [&](int64_t e, int) {
      std::copy(x.data(), x.data() + count, w_.forked.data() + e * count);
    });
    std::swap(x, w_.forked);
  }

  std::vector<int32_t> repeat(const std::vector<int32_t>& positions) const {
    std::vector<int32_t> all;
    for (int64_t e = 0; e < experts(); ++e)
      all.insert(all.end(), positions.begin(), positions.end());
    return all;
  }

  /// K copies of the segments, the e-th shifted by e times the given numbers of query and key rows.
  std::vector<AttentionSegment> repeat(const std::vector<AttentionSegment>& segments,
                                       int64_t query_rows, int64_t key_rows) const {
    std::vector<AttentionSegment> all;
    for (int64_t e = 0; e < experts(); ++e)
      for (AttentionSegment segment : segments) {
        segment.query_row += e * query_rows;
        for (KvSpan& span : segment.spans) span.row += e * key_rows;
        all.push_back(std::move(segment));
      }
    return all;
  }

  std::vector<RowGroup> expert_groups(int64_t rows) const {
    std::vector<RowGroup> groups;
    for (int64_t e = 0; e < experts(); ++e) groups.push_back({e * rows, rows});
    return groups;
  }

  /// The groups' rows within [begin, begin + count), counted from begin; as many groups as there
  /// are, some empty.
  std::vector<RowGroup> clip(int64_t begin, int64_t count) const {
    std::vector<RowGroup> clipped;
    for (const RowGroup& group : groups_) {
      const int64_t from = std::clamp(group.begin - begin, int64_t{0}, count);
      const int64_t to = std::clamp(group.begin + group.count - begin, int64_t{0}, count);
      clipped.push_back({from, to - from});
    }
    return clipped;
  }

  int64_t experts() const { return static_cast<int64_t>(task_.experts.size()); }

  const Plan& plan_;
  const Task& task_;
  const BaseWeights& base_;
  const ModelConfig& c_;
  const Ops& ops_;
  ThreadPool& pool_;
  Workspace& w_;

  int64_t rows_ = 0;
  bool forked_ = false;
  std::vector<RowGroup> groups_;
  std::vector<const AdapterWeights*> adapters_;  // parallel to groups_
  std::vector<int32_t> positions_;
  std::vector<AttentionSegment> segments_;
};

}  // namespace

void RopeTable::reserve(const ModelConfig& config, int64_t positions) {
  const auto half = static_cast<int64_t>(config.inverse_frequencies.size());
  cosines_.resize(std::max<size_t>(cosines_.size(), positions * half));
  sines_.resize(cosines_.size());
  for (; positions_ < positions; ++positions_)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(positions_) * config.inverse_frequencies[i];
      cosines_[positions_ * half + i] = static_cast<float>(std::cos(angle) * config.rope_scale);
      sines_[positions_ * half + i] = static_cast<float>(std::sin(angle) * config.rope_scale);
    }
}

std::vector<float> forward(const Plan& plan, const Task& task, const BaseWeights& base,
                           const Ops& ops, ThreadPool& pool, Workspace& workspace,
                           const std::atomic<bool>& cancelled) {
  return Forward(plan, task, base, ops, pool, workspace).run(cancelled);
}

}  // namespace dmoerm
