#include "network.h"

#include <algorithm>
#include <cmath>

#include "dmoerm/error.h"

namespace dmoerm::train {
namespace {

/// A well-mixed function of its argument (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

int64_t width_of(const ModelConfig& c, Site site) {
  switch (site) {
    case Site::kOutput:
      return c.head_count * c.head_dim;
    case Site::kDown:
      return c.ffn_size;
    case Site::kAttention:
    case Site::kMlp:
      break;
  }
  return c.hidden_size;
}

void check(const std::atomic<bool>& cancelled) {
  if (cancelled.load(std::memory_order_relaxed))
    throw Error(Code::kCancelled, "CANCELLED", "", "the pass was cancelled");
}

}  // namespace

Network::Network(const LearnedBase& base, const Ops& ops, const GradientOps& gradients,
                 ThreadPool& pool)
    : base_(base),
      weights_(base.weights),
      c_(base.weights.config),
      ops_(ops),
      gradients_(gradients),
      pool_(pool),
      type_(ops.row_type(base.weights.type)),
      tapes_(base.weights.config.layer_count) {}

void Network::forward(const Layout& layout, Buffer<float>& hidden, int64_t first, int64_t end,
                      bool keep, const std::atomic<bool>& cancelled) {
  lay_out(layout);
  drops_ =
      keep && std::any_of(layout.adapters.begin(), layout.adapters.end(), [](const auto* adapter) {
        return adapter != nullptr && adapter->dropout > 0;
      });
  for (int64_t l = first; l < end; ++l) {
    check(cancelled);
    attention_forward(l, hidden, keep);
    mlp_forward(l, hidden, keep);
  }
}

void Network::backward(const Layout& layout, Buffer<float>& dhidden, int64_t first,
                       const std::atomic<bool>& cancelled) {
  layout_ = &layout;
  for (int64_t l = c_.layer_count - 1; l >= first; --l) {
    check(cancelled);
    mlp_backward(l, dhidden);
    attention_backward(l, dhidden);
  }
}

void Network::lay_out(const Layout& layout) {
  layout_ = &layout;
  all_ = layout.plan.rows;
  all_.panels = panels_of(all_.groups, ops_.panel_rows);
  learned_ = Rows{};
  const int64_t begin = layout.first_learned;
  // Groups keep their numbers: those of the trunk have no learned rows.
  for (RowGroup group : all_.groups)
    learned_.groups.push_back(group.begin < begin ? RowGroup{0, 0}
                                                  : RowGroup{group.begin - begin, group.count});
  learned_.adapters = all_.adapters;
  learned_.positions.assign(all_.positions.begin() + begin, all_.positions.end());
  for (AttentionSegment segment : all_.segments) {
    if (segment.query_row < begin) continue;
    segment.query_row -= begin;
    learned_.segments.push_back(segment);
  }
  learned_.panels = panels_of(learned_.groups, ops_.panel_rows);
  rope_.reserve(c_, layout.plan.longest, pool_.memory());
  const int64_t angles = layout.plan.longest * (c_.head_dim / 2);
  reserve(minus_sines_, angles);
  gradients_.copy(minus_sines_.data(), rope_.sines(), angles, pool_);
  gradients_.scale(minus_sines_.data(), -1.0f, angles, pool_);
}

AttentionShape Network::attention_shape(int64_t l) const {
  return {c_.head_count, c_.kv_head_count, c_.head_dim,
          1.0f / std::sqrt(static_cast<float>(c_.head_dim)), c_.sliding_windows[l]};
}

// ---- forward ------------------------------------------------------------------------------------

void Network::reserve(Buffer<float>& buffer, int64_t count) {
  buffer.reserve(count, pool_.memory());
}

void Network::pack(PackedRows& out, const Rows& rows, const float* x, int64_t K) {
  ops_.pack_rows(out, type_, x, K, rows.panels, 0, rows.panel_count(), {}, scratch_, pool_);
}

/// Inputs of adapters: x with some elements 0, the others larger by as much.
const float* Network::drop_out(Buffer<float>& out, const Rows& rows, int64_t l, Site site,
                               const float* x, int64_t K) {
  std::vector<RowDropout> drops(rows.count());
  for (size_t g = 0; g < rows.groups.size(); ++g) {
    const LearnedAdapter* adapter = layout_->adapters[g];
    const float share = adapter == nullptr ? 0.0f : adapter->dropout;
    const auto threshold = static_cast<uint32_t>(static_cast<double>(share) * 4294967296.0);
    const uint64_t seed = mix(layout_->seeds[g] ^
                              mix(static_cast<uint64_t>(l * kSiteCount + static_cast<int>(site))));
    for (int64_t row = 0; row < rows.groups[g].count; ++row)
      drops[rows.groups[g].begin + row] = {
          static_cast<uint32_t>(mix(seed + static_cast<uint64_t>(row))), threshold,
          1.0f / (1.0f - share)};
  }
  reserve(out, rows.count() * K);
  gradients_.drop_out(out.data(), x, drops, K, pool_);
  return out.data();
}

/// Packs a site's input, and takes its adapters' down products.
void Network::site_forward(const Rows& rows, int64_t l, Site site, const float* x, bool keep) {
  const int64_t K = width_of(c_, site);
  pack(input_, rows, x, K);
  std::vector<const Matrix*> downs;
  for (const AdapterWeights* adapter : rows.adapters)
    downs.push_back(adapter == nullptr ? nullptr : adapter->down(l, site));
  low_rank_.K = 0;
  if (std::all_of(downs.begin(), downs.end(), [](const Matrix* m) { return m == nullptr; })) return;
  const PackedRows* from = &input_;
  if (keep && drops_) {
    pack(lora_input_, rows, drop_out(dropped_, rows, l, site, x, K), K);
    from = &lora_input_;
  }
  ops_.lora_down(low_rank_, *from, rows.panels, 0, rows.panel_count(), downs, pool_);
}

/// y = the linear layer on what `site_forward` packed.
void Network::project(float* y, const Rows& rows, int64_t l, Target target, bool accumulate) {
  const Matrix& matrix = weights_.layers[l].matrix(target);
  std::vector<LoraUp> ups;
  for (const AdapterWeights* adapter : rows.adapters)
    ups.push_back(adapter == nullptr ? LoraUp{} : adapter->up(l, target));
  const bool adapted = low_rank_.K > 0;
  ops_.linear(y,
              {&rows.panels, 0, rows.panel_count(), &input_, &matrix,
               weights_.constants.layers[l].bias[static_cast<size_t>(target)], matrix.N,
               adapted ? &low_rank_ : nullptr, adapted ? &ups : nullptr},
              accumulate, scratch_, pool_);
}

void Network::rotate(float* x, const std::vector<int32_t>& positions, int64_t heads,
                     const float* sines) {
  ops_.rope(x, positions.data(), rope_.cosines(), sines, static_cast<int64_t>(positions.size()),
            heads, c_.head_dim, pool_);
}

/// Keeps the learned rows of x (rows, width) for the backward pass.
void Network::keep_rows(Buffer<float>& out, const float* x, int64_t width) {
  const int64_t count = learned_.count() * width;
  reserve(out, count);
  gradients_.copy(out.data(), x + layout_->first_learned * width, count, pool_);
}

void Network::attention_forward(int64_t l, Buffer<float>& hidden, bool keep) {
  const Constants::Layer& layer = weights_.constants.layers[l];
  LayerTape& tape = tapes_[l];
  const int64_t T = all_.count();
  const int64_t C = c_.hidden_size;
  const int64_t Q = c_.head_count * c_.head_dim;
  const int64_t G = c_.kv_head_count * c_.head_dim;
  if (keep) keep_rows(tape.input, hidden.data(), C);
  reserve(normed_, T * C);
  ops_.rms_norm(normed_.data(), hidden.data(), layer.input_norm, T, C, c_.rms_norm_eps, pool_);
  site_forward(all_, l, Site::kAttention, normed_.data(), keep);
  Buffer<float>& key = keep ? tape.key : key_;
  Buffer<float>& value = keep ? tape.value : value_;
  reserve(query_, T * Q);
  reserve(key, T * G);
  reserve(value, T * G);
  project(query_.data(), all_, l, Target::kQ, false);
  project(key.data(), all_, l, Target::kK, false);
  project(value.data(), all_, l, Target::kV, false);
  const auto norm_heads = [&](Buffer<float>& x, Buffer<float>& raw, const float* norm,
                              int64_t heads) {
    if (norm == nullptr) return;
    if (keep) keep_rows(raw, x.data(), heads * c_.head_dim);
    ops_.rms_norm(x.data(), x.data(), norm, T * heads, c_.head_dim, c_.rms_norm_eps, pool_);
  };
  norm_heads(query_, tape.raw_query, layer.q_norm, c_.head_count);
  norm_heads(key, tape.raw_key, layer.k_norm, c_.kv_head_count);
  rotate(query_.data(), all_.positions, c_.head_count, rope_.sines());
  rotate(key.data(), all_.positions, c_.kv_head_count, rope_.sines());
  reserve(attended_, T * Q);
  ops_.attention(attended_.data(), query_.data(), key.data(), value.data(), T, all_.segments,
                 attention_shape(l), type_, scratch_, pool_);
  if (keep) {
    keep_rows(tape.query, query_.data(), Q);
    keep_rows(tape.attended, attended_.data(), Q);
  }
  site_forward(all_, l, Site::kOutput, attended_.data(), keep);
  project(hidden.data(), all_, l, Target::kO, true);
}

void Network::mlp_forward(int64_t l, Buffer<float>& hidden, bool keep) {
  LayerTape& tape = tapes_[l];
  const int64_t T = all_.count();
  const int64_t C = c_.hidden_size;
  const int64_t F = c_.ffn_size;
  if (keep) keep_rows(tape.middle, hidden.data(), C);
  ops_.rms_norm(normed_.data(), hidden.data(), weights_.constants.layers[l].post_norm, T, C,
                c_.rms_norm_eps, pool_);
  site_forward(all_, l, Site::kMlp, normed_.data(), keep);
  reserve(gate_, T * F);
  reserve(up_, T * F);
  reserve(inner_, T * F);
  project(gate_.data(), all_, l, Target::kGate, false);
  project(up_.data(), all_, l, Target::kUp, false);
  gradients_.gated(inner_.data(), gate_.data(), up_.data(), T, F, pool_);
  if (keep) {
    keep_rows(tape.gate, gate_.data(), F);
    keep_rows(tape.up, up_.data(), F);
  }
  site_forward(all_, l, Site::kDown, inner_.data(), keep);
  project(hidden.data(), all_, l, Target::kDown, true);
}

// ---- backward -----------------------------------------------------------------------------------

/// What the adapters of a site saw of x, as rows and packed for their down products.
void Network::adapter_input(int64_t l, Site site, const float* x) {
  const int64_t K = width_of(c_, site);
  seen_ = drops_ ? drop_out(dropped_, learned_, l, site, x, K) : x;
  const bool adapted = std::any_of(
      layout_->adapters.begin(), layout_->adapters.end(), [&](const LearnedAdapter* adapter) {
        return adapter != nullptr && adapter->forward.down(l, site) != nullptr;
      });
  if (adapted) pack(lora_input_, learned_, seen_, K);
}

/// One linear layer: dx (rows, in) from dy (rows, out), added to what dx holds if `accumulate`, and the gradients of its
/// parameters. x (rows, in) is what it read, after `adapter_input`.
void Network::linear_backward(int64_t l, Target target, const float* x, const float* dy, float* dx,
                              bool accumulate) {
  const size_t at = LearnedAdapter::at(l, target);
  const LinearShape shape = linear_shape(c_, target);
  std::vector<const Matrix*> downs;
  std::vector<LoraUp> ups;
  bool adapted = false;
  for (const LearnedAdapter* adapter : layout_->adapters) {
    const bool here = adapter != nullptr && adapter->modules[at].a != nullptr;
    downs.push_back(here ? &adapter->down[at] : nullptr);
    ups.push_back(here ? LoraUp{&adapter->up[at], 0} : LoraUp{});
    adapted = adapted || here;
  }
  pack(input_, learned_, dy, shape.out);
  if (adapted)
    ops_.lora_down(low_rank_, input_, learned_.panels, 0, learned_.panel_count(), downs, pool_);
  const auto product = [&](const Matrix* w, bool low_rank) {
    return Product{&learned_.panels,
                   0,
                   learned_.panel_count(),
                   &input_,
                   w,
                   nullptr,
                   shape.in,
                   low_rank ? &low_rank_ : nullptr,
                   low_rank ? &ups : nullptr};
  };
  ops_.linear(dx, product(&base_.transposed[at], adapted && !drops_), accumulate, scratch_, pool_);
  if (adapted && drops_) {
    const int64_t count = learned_.count() * shape.in;
    reserve(masked_, count);
    gradients_.clear(masked_.data(), count, pool_);
    ops_.linear(masked_.data(), product(nullptr, true), true, scratch_, pool_);
    const float* own =
        drop_out(masked_too_, learned_, l, site_of(target), masked_.data(), shape.in);
    gradients_.add(dx, own, count, pool_);
  }
  for (size_t g = 0; g < downs.size(); ++g)
    if (downs[g] != nullptr && learned_.groups[g].count > 0)
      adapter_gradients(l, target, static_cast<int64_t>(g), dy);
  if (!base_.layers.empty()) weight_gradients(l, target, x, dy);
}

/// dA += (s dy B)^T x and dB += s dy^T (x A^T) over the rows of a group, whose dy `input_` holds packed.
void Network::adapter_gradients(int64_t l, Target target, int64_t group, const float* dy) {
  const LearnedAdapter& adapter = *layout_->adapters[group];
  const LearnedLora& lora = adapter.modules[LearnedAdapter::at(l, target)];
  const LinearShape shape = linear_shape(c_, target);
  const RowGroup& rows = learned_.groups[group];
  const int64_t rank = lora.a->shape[0];
  const auto own = [&](const Panel& panel) { return panel.group == group; };
  const auto begin = std::find_if(learned_.panels.begin(), learned_.panels.end(), own);
  const auto end = std::find_if_not(begin, learned_.panels.end(), own);
  const int64_t first = begin - learned_.panels.begin();
  const int64_t last = end - learned_.panels.begin();
  const auto product = [&](Buffer<float>& out, const PackedRows& x, const Matrix& w) {
    reserve(out, rows.count * w.N);
    // Rows of the panels are counted from the first group's.
    ops_.linear(out.data() - rows.begin * w.N,
                {&learned_.panels, first, last, &x, &w, nullptr, w.N, nullptr, nullptr}, false,
                scratch_, pool_);
    return out.data();
  };
  const Matrix& down = *adapter.forward.down(l, site_of(target));
  float* u = product(products_, lora_input_, down);
  gradients_.scale(u, lora.scale, rows.count * down.N, pool_);
  const float* own_dy = dy + rows.begin * shape.out;
  gradients_.outer(lora.b->gradient.data(), own_dy, shape.out, shape.out,
                   u + adapter.forward.up(l, target).offset, down.N, rank, rows.count, pool_);
  const float* du = product(derivatives_, input_, adapter.down[LearnedAdapter::at(l, target)]);
  gradients_.outer(lora.a->gradient.data(), du, rank, rank, seen_ + rows.begin * shape.in, shape.in,
                   shape.in, rows.count, pool_);
}

/// dW += dy^T x, db += the sum of dy's rows.
void Network::weight_gradients(int64_t l, Target target, const float* x, const float* dy) {
  const LinearShape shape = linear_shape(c_, target);
  const LearnedBase::Layer& layer = base_.layers[l];
  const int64_t T = learned_.count();
  outer_product(*layer.weight[static_cast<size_t>(target)], dy, shape.out, x, shape.in, T);
  Parameter* bias = layer.bias[static_cast<size_t>(target)];
  if (bias != nullptr) gradients_.sum_rows(bias->gradient.data(), dy, T, shape.out, pool_);
}

void Network::outer_product(Parameter& parameter, const float* dy, int64_t N, const float* x,
                            int64_t K, int64_t T) {
  // A device packs matrices from the host's memory only: there these sums are float32's.
  if (weights_.type == WeightType::kF32 || !pool_.memory().is_host()) {
    gradients_.outer(parameter.gradient.data(), dy, N, N, x, K, K, T, pool_);
    return;
  }
  reserve(turned_, N * T);
  reserve(turned_too_, K * T);
  gradients_.transpose(turned_.data(), dy, T, N, pool_);
  gradients_.transpose(turned_too_.data(), x, T, K, pool_);
  Rows rows;
  rows.groups.push_back({0, N});
  rows.panels = panels_of(rows.groups, ops_.panel_rows);
  ops_.pack_rows(input_too_, type_, turned_.data(), T, rows.panels, 0, rows.panel_count(), {},
                 scratch_, pool_);
  ops_.pack_matrix(turned_matrix_, turned_too_.data(), K, T, weights_.type, pool_);
  ops_.linear(parameter.gradient.data(),
              {&rows.panels, 0, rows.panel_count(), &input_too_, &turned_matrix_, nullptr, K,
               nullptr, nullptr},
              true, scratch_, pool_);
}

void Network::mlp_backward(int64_t l, Buffer<float>& dhidden) {
  LayerTape& tape = tapes_[l];
  const Constants::Layer& layer = weights_.constants.layers[l];
  const int64_t T = learned_.count();
  const int64_t C = c_.hidden_size;
  const int64_t F = c_.ffn_size;
  reserve(inner_, T * F);
  gradients_.gated(inner_.data(), tape.gate.data(), tape.up.data(), T, F, pool_);
  reserve(dinner_, T * F);
  adapter_input(l, Site::kDown, inner_.data());
  linear_backward(l, Target::kDown, inner_.data(), dhidden.data(), dinner_.data(), false);
  gradients_.gated_backward(tape.gate.data(), tape.up.data(), dinner_.data(), T, F, pool_);

  reserve(normed_, T * C);
  ops_.rms_norm(normed_.data(), tape.middle.data(), layer.post_norm, T, C, c_.rms_norm_eps, pool_);
  reserve(dnormed_, T * C);
  adapter_input(l, Site::kMlp, normed_.data());
  linear_backward(l, Target::kGate, normed_.data(), tape.gate.data(), dnormed_.data(), false);
  linear_backward(l, Target::kUp, normed_.data(), tape.up.data(), dnormed_.data(), true);
  norm_backward(dhidden.data(), base_.layers.empty() ? nullptr : base_.layers[l].post_norm,
                dnormed_.data(), tape.middle.data(), layer.post_norm, T);
}

void Network::attention_backward(int64_t l, Buffer<float>& dhidden) {
  LayerTape& tape = tapes_[l];
  const Constants::Layer& layer = weights_.constants.layers[l];
  const int64_t T = learned_.count();
  const int64_t all = all_.count();
  const int64_t C = c_.hidden_size;
  const int64_t D = c_.head_dim;
  const int64_t Q = c_.head_count * D;
  const int64_t G = c_.kv_head_count * D;
  const int64_t first = layout_->first_learned;
  reserve(dattended_, T * Q);
  adapter_input(l, Site::kOutput, tape.attended.data());
  linear_backward(l, Target::kO, tape.attended.data(), dhidden.data(), dattended_.data(), false);

  reserve(dquery_, T * Q);
  reserve(dkey_, all * G);
  reserve(dvalue_, all * G);
  gradients_.clear(dkey_.data() + first * G, T * G, pool_);
  gradients_.clear(dvalue_.data() + first * G, T * G, pool_);
  gradients_.attention(dquery_.data(), dkey_.data(), dvalue_.data(), dattended_.data(),
                       tape.query.data(), tape.key.data(), tape.value.data(), T, all, first,
                       learned_.segments, attention_shape(l), scratch_, pool_);
  float* dkey = dkey_.data() + first * G;
  rotate(dquery_.data(), learned_.positions, c_.head_count, minus_sines_.data());
  rotate(dkey, learned_.positions, c_.kv_head_count, minus_sines_.data());
  const auto norm_heads = [&](Buffer<float>& dx, float*& d, Parameter* norm,
                              const Buffer<float>& raw, const float* weight, int64_t heads) {
    if (weight == nullptr) return;
    reserve(dx, T * heads * D);
    gradients_.clear(dx.data(), T * heads * D, pool_);
    gradients_.rms_norm(dx.data(), norm == nullptr ? nullptr : norm->gradient.data(), d, raw.data(),
                        weight, T * heads, D, c_.rms_norm_eps, scratch_, pool_);
    d = dx.data();
  };
  const LearnedBase::Layer learned = base_.layers.empty() ? LearnedBase::Layer{} : base_.layers[l];
  float* dquery = dquery_.data();
  norm_heads(draw_query_, dquery, learned.q_norm, tape.raw_query, layer.q_norm, c_.head_count);
  norm_heads(draw_key_, dkey, learned.k_norm, tape.raw_key, layer.k_norm, c_.kv_head_count);

  reserve(normed_, T * C);
  ops_.rms_norm(normed_.data(), tape.input.data(), layer.input_norm, T, C, c_.rms_norm_eps, pool_);
  reserve(dnormed_, T * C);
  adapter_input(l, Site::kAttention, normed_.data());
  linear_backward(l, Target::kQ, normed_.data(), dquery, dnormed_.data(), false);
  linear_backward(l, Target::kK, normed_.data(), dkey, dnormed_.data(), true);
  linear_backward(l, Target::kV, normed_.data(), dvalue_.data() + first * G, dnormed_.data(), true);
  norm_backward(dhidden.data(), learned.input_norm, dnormed_.data(), tape.input.data(),
                layer.input_norm, T);
}

void Network::norm_backward(float* dx, Parameter* weight, const float* dy, const float* x,
                            const float* values, int64_t T) {
  gradients_.rms_norm(dx, weight == nullptr ? nullptr : weight->gradient.data(), dy, x, values, T,
                      c_.hidden_size, c_.rms_norm_eps, scratch_, pool_);
}

}  // namespace dmoerm::train
