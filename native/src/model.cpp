#include "model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

/// Bytes of the MLP's inner rows that are computed at a time: bounds their memory. On the processor they stay in the
/// last-level cache; a device wants as many as there are.
constexpr int64_t kMlpBytes = 8 << 20, kDeviceMlpBytes = int64_t{1} << 30;

class Forward {
 public:
  Forward(const Plan& plan, const BaseWeights& base, const Ops& ops, ThreadPool& pool, Workspace& w,
          int64_t max_rows, std::vector<KeyValues>* kept, const std::atomic<bool>& cancelled)
      : plan_(plan),
        base_(base),
        c_(base.config),
        ops_(ops),
        pool_(pool),
        memory_(pool.memory()),
        w_(w),
        max_rows_(max_rows),
        kept_(kept),
        cancelled_(cancelled),
        base_rows_(ops.row_type(base.type)),
        lora_rows_(ops.row_type(lora_type(base.type))) {}

  std::vector<float> run() {
    w_.rope.reserve(c_, plan_.longest, memory_);
    rows_ = with_panels(plan_.rows);
    pooled_ = with_panels(plan_.pooled);
    pooled_at_ = plan_.pooled_at;
    embed();
    const bool forks = !plan_.branches.empty();
    for (int64_t l = 0; l < (forks ? plan_.fork_layer : c_.layer_count); ++l) layer(l);
    std::vector<float> embeddings;
    if (!forks) {
      finish(embeddings);
      return embeddings;
    }
    const Rows all = prepare_fork(plan_.fork_layer);
    const Rows going_on = rows_;
    const auto count = static_cast<int64_t>(plan_.branches.size());
    for (int64_t first = 0; first < count;) {
      int64_t end = first;
      int64_t rows = 0;
      do {
        rows += group_of(all, plan_.branches[end]).count;
        ++end;
      } while (end < count && rows + group_of(all, plan_.branches[end]).count <= max_rows_);
      fork(all, going_on, {plan_.branches.begin() + first, plan_.branches.begin() + end});
      for (int64_t l = plan_.fork_layer + 1; l < c_.layer_count; ++l) layer(l);
      finish(embeddings);
      first = end;
    }
    return embeddings;
  }

 private:
  void embed() {
    w_.hidden.reserve(rows_.count() * c_.hidden_size, memory_);
    ops_.embed(w_.hidden.data(), base_.constants.table, base_.constants.table_type,
               plan_.tokens.data(), rows_.count(), c_.hidden_size, pool_);
  }

  /// Appends the normalised hidden states of the rows.
  void finish(std::vector<float>& embeddings) {
    const int64_t count = rows_.count() * c_.hidden_size;
    w_.normed.reserve(count, memory_);
    ops_.rms_norm(w_.normed.data(), w_.hidden.data(), base_.constants.norm, rows_.count(),
                  c_.hidden_size, c_.rms_norm_eps, pool_);
    const size_t at = embeddings.size();
    embeddings.resize(at + count);
    memory_.read(embeddings.data() + at, w_.normed.data(),
                 count * static_cast<int64_t>(sizeof(float)));
  }

  void layer(int64_t l) {
    check_cancelled();
    const int64_t C = c_.hidden_size;
    pack(w_.input, w_.hidden.data(), C, l, Site::kAttention, norm_of(l), 0, rows_.panel_count());
    const PackedRows* u = down(w_.low_rank, w_.input, l, Site::kAttention, 0, rows_.panel_count());
    project(w_.key, l, Target::kK, u);
    project(w_.value, l, Target::kV, u);
    const int64_t key_rows = rows_.count();
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

  /// The fork layer for some branches. `all` are the trunk's rows, `going_on` those that leave the layer.
  void fork(const Rows& all, const Rows& going_on, const std::vector<Branch>& branches) {
    check_cancelled();
    const int64_t l = plan_.fork_layer;
    Workspace::Fork& f = w_.fork;
    const bool last = l == c_.layer_count - 1;
    const std::vector<Panel> panels = copied_panels(all, branches);
    const PackedRows* u = fork_down(f.input, l, panels, branches);
    fork_projection(w_.key, f.key, l, Target::kK, all, panels, u, branches);
    fork_projection(w_.value, f.value, l, Target::kV, all, panels, u, branches);
    const std::vector<Panel> next = last ? copied_panels(going_on, branches) : panels;
    if (last) u = fork_down(f.pooled_input, l, next, branches);
    fork_projection(w_.query, f.query, l, Target::kQ, going_on, next, u, branches);
    copy_groups(w_.hidden, f.hidden.data(), c_.hidden_size, going_on, branches);
    const Rows keys = copies(all, branches);
    rows_ = last ? copies(going_on, branches) : keys;
    pooled_ = copies(plan_.pooled, branches);
    pooled_at_.clear();
    for (size_t e = 0; e < branches.size(); ++e) {
      const int64_t moved = keys.groups[e].begin - group_of(all, branches[e]).begin;
      const RowGroup& pooled = group_of(plan_.pooled, branches[e]);
      for (int64_t i = pooled.begin; i < pooled.begin + pooled.count; ++i)
        pooled_at_.push_back(plan_.pooled_at[i] + moved);
    }
    attend(l, keys.count(), keys.positions);
    mlp(l);
  }

  /// The rest of attention: from queries, keys and values to the hidden states.
  void attend(int64_t l, int64_t key_rows, const std::vector<int32_t>& key_positions) {
    const Constants::Layer& layer = base_.constants.layers[l];
    rotate(w_.query, layer.q_norm, rows_.positions, c_.head_count);
    rotate(w_.key, layer.k_norm, key_positions, c_.kv_head_count);
    const AttentionShape shape{c_.head_count, c_.kv_head_count, c_.head_dim,
                               1.0f / std::sqrt(static_cast<float>(c_.head_dim)),
                               c_.sliding_windows[l]};
    const int64_t width = c_.head_count * c_.head_dim;
    w_.attended.reserve(rows_.count() * width, memory_);
    if (kept_ == nullptr) {
      ops_.attention(w_.attended.data(), w_.query.data(), w_.key.data(), w_.value.data(), key_rows,
                     rows_.segments, shape, lora_rows_, w_.scratch, pool_);
    } else {
      KeyValues& kept = (*kept_)[l];
      ops_.keep(kept, w_.key.data(), w_.value.data(), own_spans(), shape, lora_rows_, pool_);
      ops_.attention_over(w_.attended.data(), w_.query.data(), kept, rows_.segments, shape,
                          lora_rows_, w_.scratch, pool_);
    }
    const int64_t end = rows_.panel_count();
    pack(w_.input, w_.attended.data(), width, l, Site::kOutput, {}, 0, end);
    const PackedRows* u = down(w_.low_rank, w_.input, l, Site::kOutput, 0, end);
    ops_.linear(w_.hidden.data(), product(l, Target::kO, w_.input.base, u, 0, end), true,
                w_.scratch, pool_);
  }

  /// Where the plan's rows are kept.
  std::vector<KvSpan> own_spans() const {
    std::vector<KvSpan> spans;
    for (const AttentionSegment& segment : plan_.rows.segments) {
      const KvSpan& last = segment.spans.back();
      spans.push_back({last.row + last.count - segment.query_count, segment.query_count});
    }
    return spans;
  }

  void mlp(int64_t l) {
    const int64_t F = c_.ffn_size;
    pack(w_.input, w_.hidden.data(), c_.hidden_size, l, Site::kMlp,
         {base_.constants.layers[l].post_norm, c_.rms_norm_eps}, 0, rows_.panel_count());
    // Stretches of equal length: a short last one would read all weights for little.
    const int64_t bytes = memory_.is_host() ? kMlpBytes : kDeviceMlpBytes;
    const int64_t most = std::max<int64_t>(1, bytes / (F * 4 * ops_.panel_rows));
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
        w_.ffn.reserve(count * F, memory_);
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

  RmsNorm norm_of(int64_t l) const {
    return {base_.constants.layers[l].input_norm, c_.rms_norm_eps};
  }

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
            base_.constants.layers[l].bias[static_cast<size_t>(target)],
            layer.matrix(target).N,
            u,
            u == nullptr ? nullptr : &ups};
  }

  /// Queries, keys or values of all rows.
  void project(Buffer<float>& y, int64_t l, Target target, const PackedRows* u) {
    y.reserve(rows_.count() * base_.layers[l].matrix(target).N, memory_);
    ops_.linear(y.data(), product(l, target, w_.input.base, u, 0, rows_.panel_count()), false,
                w_.scratch, pool_);
  }

  /// The base's part of them.
  void base_projection(Buffer<float>& y, int64_t l, Target target, const PackedRows& x) {
    y.reserve(rows_.count() * base_.layers[l].matrix(target).N, memory_);
    ops_.linear(y.data(), product(l, target, x, nullptr, 0, rows_.panel_count()), false, w_.scratch,
                pool_);
  }

  /// The panels of the branches' rows, all taken from the one packed input; group e is branch e's copy.
  static std::vector<Panel> copied_panels(const Rows& rows, const std::vector<Branch>& branches) {
    std::vector<Panel> panels;
    int64_t begin = 0;
    for (size_t e = 0; e < branches.size(); ++e) {
      const RowGroup& group = group_of(rows, branches[e]);
      for (const Panel& panel : rows.panels)
        if (panel.group == branches[e].group)
          panels.push_back({begin + panel.row - group.begin, panel.count, static_cast<int64_t>(e),
                            panel.source});
      begin += group.count;
    }
    return panels;
  }

  const PackedRows* fork_down(const PackedInput& x, int64_t l, const std::vector<Panel>& panels,
                              const std::vector<Branch>& branches) {
    std::vector<const Matrix*> downs;
    for (const Branch& branch : branches)
      downs.push_back(branch.adapter->down(l, Site::kAttention));
    ops_.lora_down(w_.low_rank, for_lora(x), panels, 0, static_cast<int64_t>(panels.size()), downs,
                   pool_);
    return &w_.low_rank;
  }

  /// Copies of the base's part, each with its expert's low-rank term added.
  void fork_projection(Buffer<float>& y, const Buffer<float>& shared, int64_t l, Target target,
                       const Rows& rows, const std::vector<Panel>& panels, const PackedRows* u,
                       const std::vector<Branch>& branches) {
    const int64_t N = base_.layers[l].matrix(target).N;
    copy_groups(y, shared.data(), N, rows, branches);
    std::vector<LoraUp> ups;
    bool any = false;
    for (const Branch& branch : branches) {
      ups.push_back(branch.adapter->up(l, target));
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
  void rotate(Buffer<float>& x, const float* norm, const std::vector<int32_t>& positions,
              int64_t heads) {
    const auto rows = static_cast<int64_t>(positions.size());
    if (norm != nullptr)
      ops_.rms_norm(x.data(), x.data(), norm, rows * heads, c_.head_dim, c_.rms_norm_eps, pool_);
    ops_.rope(x.data(), positions.data(), w_.rope.cosines(), w_.rope.sines(), rows, heads,
              c_.head_dim, pool_);
  }

  static const RowGroup& group_of(const Rows& rows, const Branch& branch) {
    return rows.groups[branch.group];
  }

  Rows with_panels(Rows rows) const {
    rows.panels = panels_of(rows.groups, ops_.panel_rows);
    return rows;
  }

  /// Only the pooled rows stay.
  void keep_pooled() {
    w_.forked.reserve(pooled_.count() * c_.hidden_size, memory_);
    ops_.gather(w_.forked.data(), w_.hidden.data(), pooled_at_, c_.hidden_size, pool_);
    std::swap(w_.hidden, w_.forked);
    rows_ = pooled_;
  }

  /// The branches' rows one after another, each with keys of its own among the copies of the trunk's rows.
  Rows copies(const Rows& rows, const std::vector<Branch>& branches) const {
    Rows all;
    int64_t keys = 0;
    for (const Branch& branch : branches) {
      const RowGroup& group = group_of(rows, branch);
      const RowGroup& trunk = group_of(plan_.rows, branch);
      const int64_t begin = all.count();
      all.groups.push_back({begin, group.count});
      all.adapters.push_back(branch.adapter);
      all.positions.insert(all.positions.end(), rows.positions.begin() + group.begin,
                           rows.positions.begin() + group.begin + group.count);
      for (AttentionSegment segment : rows.segments) {
        if (segment.query_row < group.begin || segment.query_row >= group.begin + group.count)
          continue;
        segment.query_row += begin - group.begin;
        for (KvSpan& span : segment.spans) span.row += keys - trunk.begin;
        all.segments.push_back(segment);
      }
      keys += trunk.count;
    }
    return with_panels(std::move(all));
  }

  /// y <- the branches' rows of x, `width` elements each, one branch after another.
  void copy_groups(Buffer<float>& y, const float* x, int64_t width, const Rows& rows,
                   const std::vector<Branch>& branches) {
    std::vector<int64_t> from;
    for (const Branch& branch : branches) {
      const RowGroup& group = group_of(rows, branch);
      for (int64_t i = 0; i < group.count; ++i) from.push_back(group.begin + i);
    }
    y.reserve(static_cast<int64_t>(from.size()) * width, memory_);
    ops_.gather(y.data(), x, from, width, pool_);
  }

  void check_cancelled() const {
    if (cancelled_.load(std::memory_order_relaxed))
      throw Error(Code::kCancelled, "CANCELLED", "", "the evaluation was cancelled");
  }

  const Plan& plan_;
  const BaseWeights& base_;
  const ModelConfig& c_;
  const Ops& ops_;
  ThreadPool& pool_;
  Memory& memory_;
  Workspace& w_;
  const int64_t max_rows_;
  std::vector<KeyValues>* const kept_;  ///< null: keys and values live as long as their layer
  const std::atomic<bool>& cancelled_;
  const RowType base_rows_;
  const RowType lora_rows_;

  Rows rows_;                       ///< in flight
  Rows pooled_;                     ///< the part of them that the last layer goes on with
  std::vector<int64_t> pooled_at_;  ///< where its rows lie among `rows_`
  std::array<std::vector<LoraUp>, kTargetCount> ups_;
};

}  // namespace

void RopeTable::reserve(const ModelConfig& config, int64_t positions, Memory& memory) {
  if (positions <= positions_) return;
  const auto half = static_cast<int64_t>(config.inverse_frequencies.size());
  std::vector<float> cosines(positions * half), sines(positions * half);
  for (int64_t position = 0; position < positions; ++position)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * config.inverse_frequencies[i];
      cosines[position * half + i] = static_cast<float>(std::cos(angle) * config.rope_scale);
      sines[position * half + i] = static_cast<float>(std::sin(angle) * config.rope_scale);
    }
  const auto place = [&](Buffer<float>& to, const std::vector<float>& from) {
    to.reserve(positions * half, memory);
    memory.write(to.data(), from.data(), positions * half * static_cast<int64_t>(sizeof(float)));
  };
  place(cosines_, cosines);
  place(sines_, sines);
  positions_ = positions;
}

int64_t Workspace::bytes() const {
  int64_t bytes = scratch.bytes() + rope.bytes();
  for (const Buffer<float>* buffer : {&hidden, &query, &key, &value, &attended, &ffn, &forked,
                                      &normed, &fork.hidden, &fork.query, &fork.key, &fork.value})
    bytes += buffer->capacity() * static_cast<int64_t>(sizeof(float));
  for (const PackedRows* rows :
       {&input.base, &input.lora, &gated.base, &gated.lora, &low_rank, &gated_low_rank,
        &fork.input.base, &fork.input.lora, &fork.pooled_input.base, &fork.pooled_input.lora})
    bytes += rows->data.capacity() + rows->scales.capacity() * static_cast<int64_t>(sizeof(float));
  return bytes;
}

std::vector<float> forward(const Plan& plan, const BaseWeights& base, const Ops& ops,
                           ThreadPool& pool, Workspace& workspace, int64_t max_rows,
                           const std::atomic<bool>& cancelled) {
  return Forward(plan, base, ops, pool, workspace, max_rows, nullptr, cancelled).run();
}

std::vector<float> forward(const Plan& plan, const BaseWeights& base, const Ops& ops,
                           ThreadPool& pool, Workspace& workspace, std::vector<KeyValues>& kept,
                           const std::atomic<bool>& cancelled) {
  return Forward(plan, base, ops, pool, workspace, plan.rows.count(), &kept, cancelled).run();
}

}  // namespace dmoerm
