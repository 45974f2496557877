#include "model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

/// Bytes of the MLP's inner rows that are computed at a time: bounds their memory, and they stay in the
/// last-level cache.
constexpr int64_t kMlpBytes = 8 << 20;

/// A set of rows on their way through the layers.
struct Rows {
  int64_t count = 0;
  std::vector<RowGroup> groups;
  std::vector<const AdapterWeights*> adapters;  ///< by group
  std::vector<Panel> panels;
  std::vector<int32_t> positions;
  std::vector<AttentionSegment> segments;

  int64_t panel_count() const { return static_cast<int64_t>(panels.size()); }
};

class Forward {
 public:
  Forward(const Plan& plan, const Task& task, const BaseWeights& base, const Ops& ops,
          ThreadPool& pool, Workspace& w, int64_t max_rows, const std::atomic<bool>& cancelled)
      : plan_(plan),
        task_(task),
        base_(base),
        c_(base.config),
        ops_(ops),
        pool_(pool),
        w_(w),
        max_rows_(max_rows),
        cancelled_(cancelled),
        base_rows_(ops.row_type(base.type)),
        lora_rows_(ops.row_type(lora_type(base.type))) {}

  std::vector<float> run() {
    w_.rope.reserve(c_, plan_.longest);
    std::vector<const AdapterWeights*> adapters{&task_.adapter};
    if (task_.plan == PlanType::kReadout)
      for (const Expert& expert : task_.experts) adapters.push_back(&expert.adapter);
    rows_ = Rows{static_cast<int64_t>(plan_.tokens.size()),
                 plan_.groups,
                 adapters,
                 {},
                 plan_.positions,
                 plan_.segments};
    rows_.panels = panels_of(rows_.groups);
    embed();
    const bool forks = task_.fork_layer < c_.layer_count;
    for (int64_t l = 0; l < (forks ? task_.fork_layer : c_.layer_count); ++l) layer(l);
    std::vector<float> embeddings;
    if (!forks) {
      finish(embeddings);
      return embeddings;
    }
    const Rows all = prepare_fork(task_.fork_layer);
    const Rows going_on = rows_;
    const int64_t at_a_time =
        std::clamp(max_rows_ / std::max<int64_t>(1, all.count), int64_t{1}, experts());
    for (int64_t first = 0; first < experts(); first += at_a_time) {
      fork(all, going_on, first, std::min(at_a_time, experts() - first));
      for (int64_t l = task_.fork_layer + 1; l < c_.layer_count; ++l) layer(l);
      finish(embeddings);
    }
    return embeddings;
  }

 private:
  void embed() {
    w_.hidden.reserve(rows_.count * c_.hidden_size);
    pool_.run(rows_.count, [&](int64_t row, int) {
      base_.embedding.row(w_.hidden.data() + row * c_.hidden_size, plan_.tokens[row]);
    });
  }

  /// Appends the normalised hidden states of the rows.
  void finish(std::vector<float>& embeddings) {
    const size_t at = embeddings.size();
    embeddings.resize(at + rows_.count * c_.hidden_size);
    ops_.rms_norm(embeddings.data() + at, w_.hidden.data(), base_.norm.data(), rows_.count,
                  c_.hidden_size, c_.rms_norm_eps, pool_);
  }

  void layer(int64_t l) {
    check_cancelled();
    const int64_t C = c_.hidden_size;
    pack(w_.input, w_.hidden.data(), C, l, Site::kAttention, norm_of(l), 0, rows_.panel_count());
    const PackedRows* u = down(w_.low_rank, w_.input, l, Site::kAttention, 0, rows_.panel_count());
    project(w_.key, l, Target::kK, u);
    project(w_.value, l, Target::kV, u);
    const int64_t key_rows = rows_.count;
    const std::vector<int32_t> key_positions = rows_.positions;
    if (l == c_.layer_count - 1) {
      // Somebody attends to keys and values of every row, but only the pooled rows go on.
      keep_pooled();
      pack(w_.input, w_.hidden.data(), C, l, Site::kAttention, norm_of(l), 0, rows_.panel_count());
      u = down(w_.low_rank, w_.input, l, Site::kAttention, 0, rows_.panel_count());
    }
    project(w_.query, l, Target::kQ, u);
    attend(l, key_rows, key_positions);
    mlp(l);
  }

  /// What the experts share in layer l, the first in which they differ: the rows and the products of
  /// the base. Leaves the rows that go on from this layer, and returns all of them.
  Rows prepare_fork(int64_t l) {
    check_cancelled();
    const int64_t C = c_.hidden_size;
    Workspace::Fork& f = w_.fork;
    const auto pack_both = [&](PackedInput& out) {
      ops_.pack_rows(out.base, base_rows_, w_.hidden.data(), C, rows_.panels, 0,
                     rows_.panel_count(), norm_of(l), w_.scratch, pool_);
      if (lora_rows_ != base_rows_)
        ops_.pack_rows(out.lora, lora_rows_, w_.hidden.data(), C, rows_.panels, 0,
                       rows_.panel_count(), norm_of(l), w_.scratch, pool_);
    };
    pack_both(f.input);
    base_projection(f.key, l, Target::kK, f.input.base);
    base_projection(f.value, l, Target::kV, f.input.base);
    Rows all = rows_;
    if (l == c_.layer_count - 1) {
      keep_pooled();
      pack_both(f.pooled_input);
    }
    base_projection(f.query, l, Target::kQ,
                    (l == c_.layer_count - 1 ? f.pooled_input : f.input).base);
    std::swap(w_.hidden, f.hidden);
    return all;
  }

  /// Layer `fork_layer` for experts [first, first + count). `all` are the trunk's rows, `going_on` those that
  /// leave the layer.
  void fork(const Rows& all, const Rows& going_on, int64_t first, int64_t count) {
    check_cancelled();
    const int64_t l = task_.fork_layer;
    Workspace::Fork& f = w_.fork;
    const bool last = l == c_.layer_count - 1;
    const std::vector<Panel> panels = copied_panels(all, count);
    const PackedRows* u = fork_down(f.input, l, panels, first, count);
    fork_projection(w_.key, f.key, l, Target::kK, all, panels, u, first, count);
    fork_projection(w_.value, f.value, l, Target::kV, all, panels, u, first, count);
    const std::vector<Panel> next = last ? copied_panels(going_on, count) : panels;
    if (last) u = fork_down(f.pooled_input, l, next, first, count);
    fork_projection(w_.query, f.query, l, Target::kQ, going_on, next, u, first, count);
    repeat(w_.hidden, f.hidden.data(), going_on.count * c_.hidden_size, count);
    rows_ = copies(going_on, first, count, all.count);
    forked_ = count;
    attend(l, all.count * count, repeated(all.positions, count));
    mlp(l);
  }

  /// The rest of attention: from queries, keys and values to the hidden states.
  void attend(int64_t l, int64_t key_rows, const std::vector<int32_t>& key_positions) {
    const LayerWeights& layer = base_.layers[l];
    rotate(w_.query, layer.q_norm, rows_.positions, c_.head_count);
    rotate(w_.key, layer.k_norm, key_positions, c_.kv_head_count);
    const AttentionShape shape{c_.head_count, c_.kv_head_count, c_.head_dim,
                               1.0f / std::sqrt(static_cast<float>(c_.head_dim)),
                               c_.sliding_windows[l]};
    const int64_t width = c_.head_count * c_.head_dim;
    w_.attended.reserve(rows_.count * width);
    ops_.attention(w_.attended.data(), w_.query.data(), w_.key.data(), w_.value.data(), key_rows,
                   rows_.segments, shape, lora_rows_, w_.scratch, pool_);
    const int64_t end = rows_.panel_count();
    pack(w_.input, w_.attended.data(), width, l, Site::kOutput, {}, 0, end);
    const PackedRows* u = down(w_.low_rank, w_.input, l, Site::kOutput, 0, end);
    ops_.linear(w_.hidden.data(), product(l, Target::kO, w_.input.base, u, 0, end), true,
                w_.scratch, pool_);
  }

  void mlp(int64_t l) {
    const int64_t F = c_.ffn_size;
    pack(w_.input, w_.hidden.data(), c_.hidden_size, l, Site::kMlp,
         {base_.layers[l].post_norm.data(), c_.rms_norm_eps}, 0, rows_.panel_count());
    // Stretches of equal length: a short last one would read all weights for little.
    const int64_t most = std::max<int64_t>(1, kMlpBytes / (F * 4 * ops_.panel_rows));
    const int64_t count = (rows_.panel_count() + most - 1) / most;
    const int64_t stretch = (rows_.panel_count() + count - 1) / std::max<int64_t>(1, count);
    for (int64_t begin = 0; begin < rows_.panel_count(); begin += stretch) {
      const int64_t end = std::min(rows_.panel_count(), begin + stretch);
      const PackedRows* u = down(w_.low_rank, w_.input, l, Site::kMlp, begin, end);
      const Product gate = product(l, Target::kGate, w_.input.base, u, begin, end);
      const Product up = product(l, Target::kUp, w_.input.base, u, begin, end);
      if (base_rows_ == RowType::kInt8) {
        // A row's scale is known only when the whole row is.
        const int64_t first = rows_.panels[begin].row;
        const int64_t count = rows_.panels[end - 1].row + rows_.panels[end - 1].count - first;
        w_.ffn.reserve(count * F);
        ops_.gated(w_.gated.base, base_rows_, w_.ffn.data(), gate, up, w_.scratch, pool_);
        pack(w_.gated, w_.ffn.data() - first * F, F, l, Site::kDown, {}, begin, end);
      } else {
        ops_.gated(w_.gated.base, base_rows_, nullptr, gate, up, w_.scratch, pool_);
      }
      const PackedRows* after = down(w_.gated_low_rank, w_.gated, l, Site::kDown, begin, end);
      ops_.linear(w_.hidden.data(), product(l, Target::kDown, w_.gated.base, after, begin, end),
                  true, w_.scratch, pool_);
    }
  }

  // ---- products ----

  RmsNorm norm_of(int64_t l) const { return {base_.layers[l].input_norm.data(), c_.rms_norm_eps}; }

  /// Packs panels [begin, end) for the base and, if an adapter on the site needs another type, for the
  /// adapters.
  void pack(PackedInput& out, const float* x, int64_t K, int64_t l, Site site, const RmsNorm& norm,
            int64_t begin, int64_t end) {
    ops_.pack_rows(out.base, base_rows_, x, K, rows_.panels, begin, end, norm, w_.scratch, pool_);
    const bool adapted = std::any_of(
        rows_.adapters.begin(), rows_.adapters.end(),
        [&](const AdapterWeights* adapter) { return adapter->down(l, site) != nullptr; });
    if (adapted && lora_rows_ != base_rows_)
      ops_.pack_rows(out.lora, lora_rows_, x, K, rows_.panels, begin, end, norm, w_.scratch, pool_);
  }

  const PackedRows& for_lora(const PackedInput& x) const {
    return lora_rows_ == base_rows_ ? x.base : x.lora;
  }

  /// u <- x A^T of the rows' adapters on a site; null if they have none.
  const PackedRows* down(PackedRows& u, const PackedInput& x, int64_t l, Site site, int64_t begin,
                         int64_t end) {
    std::vector<const Matrix*> downs;
    bool any = false;
    for (const AdapterWeights* adapter : rows_.adapters) {
      downs.push_back(adapter->down(l, site));
      any = any || downs.back() != nullptr;
    }
    if (!any) return nullptr;
    ops_.lora_down(u, for_lora(x), rows_.panels, begin, end, downs, pool_);
    return &u;
  }

  /// x w^T + bias + u b^T for panels [begin, end); valid until the next product of the same target.
  Product product(int64_t l, Target target, const PackedRows& x, const PackedRows* u, int64_t begin,
                  int64_t end) {
    const LayerWeights& layer = base_.layers[l];
    std::vector<LoraUp>& ups = ups_[static_cast<size_t>(target)];
    ups.clear();
    for (const AdapterWeights* adapter : rows_.adapters) ups.push_back(adapter->up(l, target));
    return {&rows_.panels,
            begin,
            end,
            &x,
            &layer.matrix(target),
            layer.bias_of(target),
            layer.matrix(target).N,
            u,
            u == nullptr ? nullptr : &ups};
  }

  /// Queries, keys or values of all rows.
  void project(Buffer<float>& y, int64_t l, Target target, const PackedRows* u) {
    y.reserve(rows_.count * base_.layers[l].matrix(target).N);
    ops_.linear(y.data(), product(l, target, w_.input.base, u, 0, rows_.panel_count()), false,
                w_.scratch, pool_);
  }

  /// The base's part of them.
  void base_projection(Buffer<float>& y, int64_t l, Target target, const PackedRows& x) {
    y.reserve(rows_.count * base_.layers[l].matrix(target).N);
    ops_.linear(y.data(), product(l, target, x, nullptr, 0, rows_.panel_count()), false, w_.scratch,
                pool_);
  }

  /// The panels once per copy of the rows, all taken from the one packed input; groups are the copies.
  static std::vector<Panel> copied_panels(const Rows& rows, int64_t count) {
    std::vector<Panel> panels;
    for (int64_t e = 0; e < count; ++e)
      for (const Panel& panel : rows.panels)
        panels.push_back({e * rows.count + panel.row, panel.count, e, panel.source});
    return panels;
  }

  const PackedRows* fork_down(const PackedInput& x, int64_t l, const std::vector<Panel>& panels,
                              int64_t first, int64_t count) {
    std::vector<const Matrix*> downs;
    for (int64_t e = 0; e < count; ++e)
      downs.push_back(task_.experts[first + e].adapter.down(l, Site::kAttention));
    ops_.lora_down(w_.low_rank, for_lora(x), panels, 0, static_cast<int64_t>(panels.size()), downs,
                   pool_);
    return &w_.low_rank;
  }

  /// Copies of the base's part, each with its expert's low-rank term added.
  void fork_projection(Buffer<float>& y, const Buffer<float>& shared, int64_t l, Target target,
                       const Rows& rows, const std::vector<Panel>& panels, const PackedRows* u,
                       int64_t first, int64_t count) {
    const int64_t N = base_.layers[l].matrix(target).N;
    repeat(y, shared.data(), rows.count * N, count);
    std::vector<LoraUp> ups;
    bool any = false;
    for (int64_t e = 0; e < count; ++e) {
      ups.push_back(task_.experts[first + e].adapter.up(l, target));
      any = any || ups.back().b != nullptr;
    }
    if (!any) return;
    ops_.linear(
        y.data(),
        {&panels, 0, static_cast<int64_t>(panels.size()), nullptr, nullptr, nullptr, N, u, &ups},
        true, w_.scratch, pool_);
  }

  // ---- rows ----

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

  std::vector<Panel> panels_of(const std::vector<RowGroup>& groups) const {
    std::vector<Panel> panels;
    for (size_t g = 0; g < groups.size(); ++g)
      for (int64_t row = 0; row < groups[g].count; row += ops_.panel_rows)
        panels.push_back({groups[g].begin + row, std::min(ops_.panel_rows, groups[g].count - row),
                          static_cast<int64_t>(g), static_cast<int64_t>(panels.size())});
    return panels;
  }

  /// Only the pooled rows stay, expert by expert.
  void keep_pooled() {
    const int64_t C = c_.hidden_size;
    const int64_t stride = rows_.count / forked_;
    const auto pooled = static_cast<int64_t>(plan_.pooled_rows.size());
    Rows kept;
    kept.count = forked_ * pooled;
    kept.adapters = rows_.adapters;
    w_.forked.reserve(kept.count * C);
    for (int64_t e = 0; e < forked_; ++e) {
      for (int64_t i = 0; i < pooled; ++i) {
        const int64_t from = e * stride + plan_.pooled_rows[i];
        kept.positions.push_back(rows_.positions[from]);
        std::copy(w_.hidden.data() + from * C, w_.hidden.data() + (from + 1) * C,
                  w_.forked.data() + (e * pooled + i) * C);
      }
      for (const AttentionSegment& segment : plan_.pooled_segments)
        kept.segments.push_back(shifted(segment, e * pooled, e * stride));
      if (forked_ > 1) kept.groups.push_back({e * pooled, pooled});
    }
    if (forked_ == 1) kept.groups = plan_.pooled_groups;
    kept.panels = panels_of(kept.groups);
    std::swap(w_.hidden, w_.forked);
    rows_ = std::move(kept);
  }

  /// The rows once per expert [first, first + count), each copy with keys of its own.
  Rows copies(const Rows& rows, int64_t first, int64_t count, int64_t key_rows) const {
    Rows all;
    all.count = rows.count * count;
    all.positions = repeated(rows.positions, count);
    for (int64_t e = 0; e < count; ++e) {
      all.groups.push_back({e * rows.count, rows.count});
      all.adapters.push_back(&task_.experts[first + e].adapter);
      for (const AttentionSegment& segment : rows.segments)
        all.segments.push_back(shifted(segment, e * rows.count, e * key_rows));
    }
    all.panels = panels_of(all.groups);
    return all;
  }

  static AttentionSegment shifted(AttentionSegment segment, int64_t query_rows, int64_t key_rows) {
    segment.query_row += query_rows;
    for (KvSpan& span : segment.spans) span.row += key_rows;
    return segment;
  }

  static std::vector<int32_t> repeated(const std::vector<int32_t>& values, int64_t count) {
    std::vector<int32_t> all;
    for (int64_t e = 0; e < count; ++e) all.insert(all.end(), values.begin(), values.end());
    return all;
  }

  /// y <- `count` copies of `size` elements, one after another.
  void repeat(Buffer<float>& y, const float* x, int64_t size, int64_t count) {
    y.reserve(count * size);
    pool_.run(count, [&](int64_t e, int) { std::copy(x, x + size, y.data() + e * size); });
  }

  void check_cancelled() const {
    if (cancelled_.load(std::memory_order_relaxed))
      throw Error(Code::kCancelled, "CANCELLED", "", "the evaluation was cancelled");
  }

  int64_t experts() const { return static_cast<int64_t>(task_.experts.size()); }

  const Plan& plan_;
  const Task& task_;
  const BaseWeights& base_;
  const ModelConfig& c_;
  const Ops& ops_;
  ThreadPool& pool_;
  Workspace& w_;
  const int64_t max_rows_;
  const std::atomic<bool>& cancelled_;
  const RowType base_rows_;
  const RowType lora_rows_;

  Rows rows_;
  int64_t forked_ = 1;  ///< experts whose rows are in flight one after another
  std::array<std::vector<LoraUp>, kTargetCount> ups_;
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

int64_t Workspace::bytes() const {
  int64_t bytes = scratch.bytes() + rope.bytes();
  for (const Buffer<float>* buffer : {&hidden, &query, &key, &value, &attended, &ffn, &forked,
                                      &fork.hidden, &fork.query, &fork.key, &fork.value})
    bytes += buffer->capacity() * static_cast<int64_t>(sizeof(float));
  for (const PackedRows* rows :
       {&input.base, &input.lora, &gated.base, &gated.lora, &low_rank, &gated_low_rank,
        &fork.input.base, &fork.input.lora, &fork.pooled_input.base, &fork.pooled_input.lora})
    bytes += rows->data.capacity() + rows->scales.capacity() * static_cast<int64_t>(sizeof(float));
  return bytes;
}

std::vector<float> forward(const Plan& plan, const Task& task, const BaseWeights& base,
                           const Ops& ops, ThreadPool& pool, Workspace& workspace, int64_t max_rows,
                           const std::atomic<bool>& cancelled) {
  return Forward(plan, task, base, ops, pool, workspace, max_rows, cancelled).run();
}

}  // namespace dmoerm
