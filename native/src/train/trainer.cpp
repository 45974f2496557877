#include "dmoerm/trainer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>

#include "base_tensors.h"
#include "dmoerm/error.h"
#include "losses.h"
#include "network.h"
#include "parameters.h"

namespace dmoerm {

using namespace train;

namespace {

std::string expert_prefix(size_t expert) { return "experts." + std::to_string(expert) + "."; }

/// Next-token targets of a batch's candidates.
struct TokenTarget {
  int64_t row;
  int32_t token;
  int64_t batch;
};

/// A training pass laid out: its rows, and where each batch's candidates are pooled.
struct Laid {
  Layout layout;
  std::vector<std::vector<int64_t>> pooled;  ///< by batch and candidate: row
  std::vector<TokenTarget> targets;
};

[[noreturn]] void refuse(const char* reason, const std::string& field, const std::string& message) {
  throw Error(Code::kInvalidArgument, reason, field, message);
}

}  // namespace

struct Trainer::State {
  State(const ModelSource& source, const TrainerOptions& wanted)
      : options(wanted),
        ops(select_ops(options.isa.c_str())),
        gradients(gradients_for(ops)),
        pool(choose_threads(options.threads)) {
    check_options(source.config);
    base.weights = load_base(source, options.weight_type, "", ops, pool);
    config = base.weights.config;
    load_linear(source);
    if (options.train_base) add_base(source);
    for (size_t e = 0; e < options.experts.size(); ++e) add_expert(e);
    if (options.train_base) refer_to_base();
    adapters.resize(options.experts.size());
    for (size_t e = 0; e < options.experts.size(); ++e) changed.insert(static_cast<int64_t>(e));
    network = std::make_unique<Network>(base, ops, gradients, pool);
  }

  void check_options(const ModelConfig& c) const {
    if (options.weight_type != WeightType::kF32 && options.weight_type != WeightType::kBF16)
      refuse("BAD_WEIGHT_TYPE", "weightType", "a trainer computes in f32 or bf16");
    if (options.experts.empty()) refuse("NO_EXPERTS", "experts", "there is nothing to train");
    if (options.plan == PlanType::kTopLayers &&
        (options.top_layers < 1 || options.top_layers > c.layer_count))
      refuse("BAD_PLAN", "plan.layers",
             "top_layers must lie between 1 and the base's " + std::to_string(c.layer_count) +
                 " layers");
    if (options.train_base && (options.experts.size() != 1 || !options.experts[0].adapter.empty() ||
                               options.plan != PlanType::kFull))
      refuse("BASE_WITH_EXPERTS", "trainBase",
             "a base is trained with one expert that has no adapter, in the plan full");
    for (size_t e = 0; e < options.experts.size(); ++e) {
      const LearnerSource& expert = options.experts[e];
      const std::string field = "experts[" + std::to_string(e) + "]";
      if (!(expert.dropout >= 0 && expert.dropout < 1))
        refuse("BAD_DROPOUT", field + ".dropout", "dropout must lie in [0, 1)");
      if (expert.invocation_tokens.empty() != (options.plan != PlanType::kReadout))
        refuse("BAD_INVOCATION_TOKENS", field + ".invocation_tokens",
               "experts of the readout plan need invocation tokens, those of the other plans have "
               "none");
      for (const int32_t token : expert.invocation_tokens)
        if (token < 0 || token >= c.vocab_size)
          refuse("UNKNOWN_TOKEN", field + ".invocation_tokens",
                 "token " + std::to_string(token) + " is outside the vocabulary of " +
                     std::to_string(c.vocab_size));
      for (const LoraShape& shape : expert.adapter)
        if (shape.layer < first_layer(c) || shape.layer >= c.layer_count || shape.rank < 1 ||
            !std::isfinite(shape.scale))
          refuse("BAD_ADAPTER", field + ".adapter",
                 "an adapter module names a layer that the plan does not adapt, or has no rank or "
                 "a bad scale");
    }
  }

  /// The first layer that gradients reach.
  int64_t first_layer(const ModelConfig& c) const {
    return options.plan == PlanType::kTopLayers ? c.layer_count - options.top_layers : 0;
  }

  /// Linear layers with the task's adapter, forward where it acts, transposed where gradients pass.
  void load_linear(const ModelSource& source) {
    const BaseTensors tensors(source, *base.weights.reader);
    const TensorReader adapters(options.files);
    base.transposed.resize(config.layer_count * kTargetCount);
    for (int64_t l = 0; l < config.layer_count; ++l)
      for (int t = 0; t < kTargetCount; ++t) {
        const auto target = static_cast<Target>(t);
        const bool passed = l >= first_layer(config);
        const bool adapted = std::any_of(
            options.task_adapter.begin(), options.task_adapter.end(),
            [&](const LoraSource& one) { return one.layer == l && one.target == target; });
        if (!passed && !adapted) continue;
        const LinearShape shape = linear_shape(config, target);
        std::vector<float> weight = tensors.read(linear_name(l, target), {shape.out, shape.in});
        for (const LoraSource& one : options.task_adapter)
          if (one.layer == l && one.target == target) merge(weight, one, adapters, shape);
        if (adapted)
          ops.pack_matrix(base.weights.layers[l].linear[t], weight.data(), shape.out, shape.in,
                          options.weight_type, pool);
        if (passed)
          pack_transposed(base.transposed[l * kTargetCount + t], weight.data(), shape.out,
                          shape.in);
      }
  }

  /// w += scale b a
  void merge(std::vector<float>& w, const LoraSource& lora, const TensorReader& reader,
             const LinearShape& shape) {
    check_module(lora, config, "task_adapter");
    const std::vector<float> a = reader.read(lora.a);
    const std::vector<float> b = reader.read(lora.b);
    pool.run(shape.out, [&](int64_t n, int) {
      for (int64_t r = 0; r < lora.rank; ++r) {
        const float factor = lora.scale * b[n * lora.rank + r];
        for (int64_t k = 0; k < shape.in; ++k) w[n * shape.in + k] += factor * a[r * shape.in + k];
      }
    });
  }

  /// out <- w^T; w (N,K)
  void pack_transposed(Matrix& out, const float* w, int64_t N, int64_t K) {
    turned.reserve(N * K);
    gradients.transpose(turned.data(), w, N, K, pool);
    ops.pack_matrix(out, turned.data(), K, N, options.weight_type, pool);
  }

  void add_base(const ModelSource& source) {
    const BaseTensors tensors(source, *base.weights.reader);
    const int64_t C = config.hidden_size;
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape,
                         ParameterKind kind) {
      Parameter& parameter = parameters.add(name, shape, kBaseUnit, kind);
      const std::vector<float> values = tensors.read(name, shape);
      std::copy(values.begin(), values.end(), parameter.value.data());
    };
    add("embed_tokens.weight", {config.vocab_size, C}, ParameterKind::kMatrix);
    add("norm.weight", {C}, ParameterKind::kVector);
    for (int64_t l = 0; l < config.layer_count; ++l) {
      const std::string prefix = "layers." + std::to_string(l) + ".";
      const LayerWeights& layer = base.weights.layers[l];
      add(prefix + "input_layernorm.weight", {C}, ParameterKind::kVector);
      add(prefix + "post_attention_layernorm.weight", {C}, ParameterKind::kVector);
      if (!layer.q_norm.empty())
        add(prefix + "self_attn.q_norm.weight", {config.head_dim}, ParameterKind::kVector);
      if (!layer.k_norm.empty())
        add(prefix + "self_attn.k_norm.weight", {config.head_dim}, ParameterKind::kVector);
      for (int t = 0; t < kTargetCount; ++t) {
        const LinearShape shape = linear_shape(config, static_cast<Target>(t));
        add(linear_name(l, static_cast<Target>(t)), {shape.out, shape.in}, ParameterKind::kMatrix);
        if (!layer.bias[t].empty())
          add(prefix + target_name(static_cast<Target>(t)) + ".bias", {shape.out},
              ParameterKind::kVector);
      }
    }
  }

  /// After the last `add`: parameters no longer move.
  void refer_to_base() {
    base.layers.resize(config.layer_count);
    const auto optional = [&](const std::string& name, bool there) {
      return there ? &parameters.find(name) : nullptr;
    };
    for (int64_t l = 0; l < config.layer_count; ++l) {
      const std::string prefix = "layers." + std::to_string(l) + ".";
      const LayerWeights& from = base.weights.layers[l];
      LearnedBase::Layer& layer = base.layers[l];
      layer.input_norm = &parameters.find(prefix + "input_layernorm.weight");
      layer.post_norm = &parameters.find(prefix + "post_attention_layernorm.weight");
      layer.q_norm = optional(prefix + "self_attn.q_norm.weight", !from.q_norm.empty());
      layer.k_norm = optional(prefix + "self_attn.k_norm.weight", !from.k_norm.empty());
      for (int t = 0; t < kTargetCount; ++t) {
        layer.weight[t] = &parameters.find(linear_name(l, static_cast<Target>(t)));
        layer.bias[t] =
            optional(prefix + target_name(static_cast<Target>(t)) + ".bias", !from.bias[t].empty());
      }
    }
  }

  void add_expert(size_t e) {
    const auto unit = static_cast<int64_t>(e);
    for (const LoraShape& lora : options.experts[e].adapter) {
      const LinearShape shape = linear_shape(config, lora.target);
      const std::string name = expert_prefix(e) + "layers." + std::to_string(lora.layer) + "." +
                               target_name(lora.target);
      parameters.add(name + ".lora_A", {lora.rank, shape.in}, unit, ParameterKind::kMatrix);
      parameters.add(name + ".lora_B", {shape.out, lora.rank}, unit, ParameterKind::kMatrix);
    }
    parameters.add(expert_prefix(e) + "head.weight", {config.hidden_size}, unit,
                   ParameterKind::kHead);
    parameters.add(expert_prefix(e) + "head.bias", {1}, unit, ParameterKind::kHead);
  }

  // ---- packing ----

  /// Packs what has changed since the last pass.
  void pack() {
    for (const int64_t unit : changed)
      if (unit == kBaseUnit)
        pack_base();
      else
        pack_expert(static_cast<size_t>(unit));
    changed.clear();
  }

  void pack_base() {
    BaseWeights& w = base.weights;
    embedding_packed = false;
    const auto values = [&](const Parameter* parameter, std::vector<float>& out) {
      if (parameter != nullptr)
        out.assign(parameter->value.data(), parameter->value.data() + parameter->count);
    };
    const Parameter& embedding = parameters.find("embed_tokens.weight");
    w.embedding = {TensorType::kF32, config.hidden_size,
                   reinterpret_cast<const uint8_t*>(embedding.value.data())};
    values(&parameters.find("norm.weight"), w.norm);
    for (int64_t l = 0; l < config.layer_count; ++l) {
      LayerWeights& to = w.layers[l];
      const LearnedBase::Layer& from = base.layers[l];
      values(from.input_norm, to.input_norm);
      values(from.post_norm, to.post_norm);
      values(from.q_norm, to.q_norm);
      values(from.k_norm, to.k_norm);
      for (int t = 0; t < kTargetCount; ++t) {
        const LinearShape shape = linear_shape(config, static_cast<Target>(t));
        const float* weight = from.weight[t]->value.data();
        ops.pack_matrix(to.linear[t], weight, shape.out, shape.in, options.weight_type, pool);
        pack_transposed(base.transposed[l * kTargetCount + t], weight, shape.out, shape.in);
        values(from.bias[t], to.bias[t]);
      }
    }
  }

  void pack_expert(size_t e) {
    LearnedAdapter& adapter = adapters[e];
    const size_t slots = config.layer_count * kTargetCount;
    adapter.down.resize(slots);
    adapter.up.resize(slots);
    adapter.modules.resize(slots);
    adapter.dropout = options.experts[e].dropout;
    std::vector<LoraModule> modules;
    for (const LoraShape& lora : options.experts[e].adapter) {
      const std::string name = expert_prefix(e) + "layers." + std::to_string(lora.layer) + "." +
                               target_name(lora.target);
      const LinearShape shape = linear_shape(config, lora.target);
      const size_t at = LearnedAdapter::at(lora.layer, lora.target);
      Parameter& a = parameters.find(name + ".lora_A");
      Parameter& b = parameters.find(name + ".lora_B");
      adapter.modules[at] = {&a, &b, lora.scale};
      modules.push_back(
          {lora.layer, lora.target, lora.rank, lora.scale, a.value.data(), b.value.data()});
      std::vector<float> scaled(b.value.data(), b.value.data() + b.count);
      for (float& value : scaled) value *= lora.scale;
      pack_transposed(adapter.down[at], scaled.data(), shape.out, lora.rank);
      pack_transposed(adapter.up[at], a.value.data(), lora.rank, shape.in);
    }
    adapter.forward = pack_adapter(modules, config, options.weight_type, ops, pool);
  }

  /// The embeddings as an output layer.
  void pack_embedding() {
    if (embedding_packed) return;
    const int64_t V = config.vocab_size;
    const int64_t C = config.hidden_size;
    std::vector<float> table(V * C);
    pool.run(V, [&](int64_t token, int) {
      base.weights.embedding.row(table.data() + token * C, static_cast<int32_t>(token));
    });
    ops.pack_matrix(embedding, table.data(), V, C, options.weight_type, pool);
    pack_transposed(embedding_transposed, table.data(), V, C);
    embedding_packed = true;
  }

  /// y (T, w.N) = x w^T
  void product(float* y, const float* x, int64_t T, const Matrix& w) {
    std::vector<Panel> panels;
    for (int64_t row = 0; row < T; row += ops.panel_rows)
      panels.push_back(
          {row, std::min(ops.panel_rows, T - row), 0, static_cast<int64_t>(panels.size())});
    const auto count = static_cast<int64_t>(panels.size());
    ops.pack_rows(packed_rows, ops.row_type(options.weight_type), x, w.K, panels, 0, count, {},
                  scratch, pool);
    ops.linear(y, {&panels, 0, count, &packed_rows, &w, nullptr, w.N, nullptr, nullptr}, false,
               scratch, pool);
  }

  // ---- a pass ----

  void check_batches(const std::vector<TrainBatch>& batches) const {
    for (size_t i = 0; i < batches.size(); ++i) {
      const TrainBatch& one = batches[i];
      const std::string field = "batches[" + std::to_string(i) + "]";
      if (one.batch.task < 0 || one.batch.task >= static_cast<int64_t>(options.experts.size()))
        refuse("UNKNOWN_EXPERT", field + ".task", "the trainer has no such expert");
      const LearnerSource& expert = options.experts[one.batch.task];
      check(one.batch, static_cast<int64_t>(expert.invocation_tokens.size()), config, field);
      const auto N = static_cast<int64_t>(one.batch.candidates.size());
      for (const PairTarget& pair : one.pairs)
        if (pair.first < 0 || pair.second < 0 || pair.first >= N || pair.second >= N ||
            pair.first == pair.second || !(pair.target >= 0 && pair.target <= 1) ||
            !std::isfinite(pair.weight))
          refuse(
              "BAD_PAIR", field + ".pairs",
              "a pair names two candidates of its batch, a target in [0, 1] and a finite weight");
      if (!std::isfinite(one.token_weight) || (one.token_weight != 0 && !options.train_base))
        refuse("BAD_TOKEN_WEIGHT", field + ".token_weight",
               "next tokens are learned by the base: their weight is finite, and 0 unless the base "
               "is trained");
      check_trunk(one, field, !batches.front().trunk.empty());
    }
  }

  void check_trunk(const TrainBatch& one, const std::string& field, bool given) const {
    if (!given && one.trunk.empty()) return;
    std::set<int64_t> prompts;
    int64_t rows = 0;
    for (const Candidate& candidate : one.batch.candidates) {
      rows += static_cast<int64_t>(candidate.tokens.size());
      if (prompts.insert(candidate.prompt).second)
        rows += static_cast<int64_t>(one.batch.prompts[candidate.prompt].size());
    }
    if (options.plan != PlanType::kTopLayers ||
        static_cast<int64_t>(one.trunk.size()) != rows * config.hidden_size)
      refuse(
          "BAD_TRUNK", field + ".trunk",
          "hidden states are given in the plan top_layers only, for all batches or none, one row "
          "per token of each prompt and candidate");
  }

  Laid lay_out(const std::vector<TrainBatch>& batches, uint64_t seed) {
    Laid laid;
    PlanBuilder builder(laid.layout.plan);
    const bool readout = options.plan == PlanType::kReadout;
    const auto close = [&](const LearnedAdapter* adapter, uint64_t own_seed) {
      builder.close_group(adapter == nullptr ? nullptr : &adapter->forward);
      laid.layout.adapters.push_back(adapter);
      laid.layout.seeds.push_back(own_seed);
    };
    // Equal conversations of a trunk that nobody changes are there once.
    std::map<std::vector<int32_t>, PlanNode> prompts;
    std::map<std::pair<std::vector<int32_t>, std::vector<int32_t>>, PlanNode> conversations;
    std::vector<std::vector<PlanNode>> nodes(batches.size());
    for (size_t i = 0; i < batches.size(); ++i) {
      const Batch& batch = batches[i].batch;
      nodes[i].resize(batch.candidates.size());
      for (size_t p = 0; p < batch.prompts.size(); ++p) {
        PlanNode prompt;
        bool here = false;
        for (size_t c = 0; c < batch.candidates.size(); ++c) {
          const Candidate& candidate = batch.candidates[c];
          if (candidate.prompt != static_cast<int64_t>(p)) continue;
          if (readout) {
            const auto known = prompts.find(batch.prompts[p]);
            prompt = known != prompts.end()
                         ? known->second
                         : prompts.emplace(batch.prompts[p], builder.add({}, batch.prompts[p]))
                               .first->second;
            const auto key = std::make_pair(batch.prompts[p], candidate.tokens);
            const auto found = conversations.find(key);
            nodes[i][c] = found != conversations.end()
                              ? found->second
                              : conversations.emplace(key, builder.add(prompt, candidate.tokens))
                                    .first->second;
            continue;
          }
          if (!here) prompt = builder.add({}, batch.prompts[p]);
          here = true;
          nodes[i][c] = builder.add(prompt, candidate.tokens);
          if (batches[i].token_weight == 0) continue;
          const KvSpan& span = nodes[i][c].spans.back();
          for (int64_t t = 0; t + 1 < span.count; ++t)
            laid.targets.push_back(
                {span.row + t, candidate.tokens[t + 1], static_cast<int64_t>(i)});
        }
      }
      if (!readout) close(&adapters[batch.task], seed);
    }
    if (readout) {
      close(nullptr, seed);
      laid.layout.first_learned = laid.layout.plan.rows.count();
      for (size_t i = 0; i < batches.size(); ++i) {
        for (PlanNode& node : nodes[i])
          node = builder.add(node, options.experts[batches[i].batch.task].invocation_tokens);
        close(&adapters[batches[i].batch.task], seed);
      }
    }
    for (const std::vector<PlanNode>& own : nodes) {
      laid.pooled.emplace_back();
      for (const PlanNode& node : own)
        laid.pooled.back().push_back(node.spans.back().row + node.spans.back().count - 1);
    }
    return laid;
  }

  void embed(const Plan& plan) {
    const int64_t C = config.hidden_size;
    hidden.reserve(plan.rows.count() * C);
    pool.run(plan.rows.count(), [&](int64_t row, int) {
      base.weights.embedding.row(hidden.data() + row * C, plan.tokens[row]);
    });
  }

  const TrainerOptions options;
  const Ops& ops;
  const GradientOps& gradients;
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
  std::mutex mutex;
};

namespace {

/// Rows of x by index, as rows of their own.
void gather(Buffer<float>& out, const float* x, const std::vector<int64_t>& rows, int64_t width) {
  out.reserve(static_cast<int64_t>(rows.size()) * width);
  for (size_t i = 0; i < rows.size(); ++i)
    std::copy(x + rows[i] * width, x + (rows[i] + 1) * width, out.data() + i * width);
}

}  // namespace

/// One pass, from batches to gradients.
class Trainer::Pass {
 public:
  Pass(State& state, const std::vector<TrainBatch>& batches, bool learn, uint64_t seed)
      : s_(state),
        c_(state.config),
        batches_(batches),
        learn_(learn),
        laid_(state.lay_out(batches, seed)),
        first_(state.first_layer(state.config)) {}

  std::vector<BatchLoss> run(const std::atomic<bool>& cancelled) {
    const int64_t C = c_.hidden_size;
    const Plan& plan = laid_.layout.plan;
    if (given_trunk()) {
      s_.hidden.reserve(plan.rows.count() * C);
      float* to = s_.hidden.data();
      for (const TrainBatch& batch : batches_)
        to = std::copy(batch.trunk.begin(), batch.trunk.end(), to);
    } else {
      s_.embed(plan);
      s_.network->forward(laid_.layout, s_.hidden, 0, first_, false, cancelled);
    }
    s_.network->forward(laid_.layout, s_.hidden, first_, c_.layer_count, learn_, cancelled);
    learned_ = plan.rows.count() - laid_.layout.first_learned;
    if (learn_) {
      s_.dhidden.reserve(learned_ * C);
      std::fill(s_.dhidden.data(), s_.dhidden.data() + learned_ * C, 0.0f);
    }
    std::vector<BatchLoss> losses(batches_.size());
    for (size_t i = 0; i < batches_.size(); ++i) rank(i, losses[i]);
    model_language(losses);
    const bool reaches = s_.options.train_base ||
                         std::any_of(batches_.begin(), batches_.end(), [&](const TrainBatch& one) {
                           return !s_.options.experts[one.batch.task].adapter.empty();
                         });
    if (learn_ && reaches) {
      s_.network->backward(laid_.layout, s_.dhidden, first_, cancelled);
      if (s_.options.train_base) embed_backward();
    }
    return losses;
  }

 private:
  bool given_trunk() const { return !batches_.empty() && !batches_.front().trunk.empty(); }

  /// The value head on a batch's pooled rows, its loss, and the derivative by the hidden states.
  void rank(size_t i, BatchLoss& loss) {
    const int64_t C = c_.hidden_size;
    const std::vector<int64_t>& rows = laid_.pooled[i];
    const auto N = static_cast<int64_t>(rows.size());
    const auto expert = static_cast<size_t>(batches_[i].batch.task);
    Parameter& weight = s_.parameters.find(expert_prefix(expert) + "head.weight");
    Parameter& bias = s_.parameters.find(expert_prefix(expert) + "head.bias");
    Buffer<float> last;
    gather(last, s_.hidden.data(), rows, C);
    loss.embeddings.resize(N * C);
    s_.ops.rms_norm(loss.embeddings.data(), last.data(), s_.base.weights.norm.data(), N, C,
                    c_.rms_norm_eps, s_.pool);
    loss.scores.resize(N);
    for (int64_t n = 0; n < N; ++n) {
      double sum = 0;
      for (int64_t c = 0; c < C; ++c)
        sum +=
            static_cast<double>(loss.embeddings[n * C + c]) * static_cast<double>(weight.value[c]);
      loss.scores[n] = static_cast<float>(sum + static_cast<double>(bias.value[0]));
    }
    std::vector<double> derivatives(N);
    loss.pair_loss = pair_loss(batches_[i].pairs, loss.scores, derivatives);
    if (!learn_ || batches_[i].pairs.empty()) return;
    std::vector<float> dembeddings(N * C);
    for (int64_t n = 0; n < N; ++n) {
      const auto d = static_cast<float>(derivatives[n]);
      bias.gradient[0] += d;
      for (int64_t c = 0; c < C; ++c) {
        weight.gradient[c] += d * loss.embeddings[n * C + c];
        dembeddings[n * C + c] = d * weight.value[c];
      }
    }
    norm_backward(dembeddings.data(), last.data(), rows);
  }

  /// Through the final norm: adds to the derivatives by the hidden states of `rows`.
  void norm_backward(const float* dy, const float* x, const std::vector<int64_t>& rows) {
    const int64_t C = c_.hidden_size;
    const auto N = static_cast<int64_t>(rows.size());
    std::vector<float> dx(N * C);
    float* dweight =
        s_.options.train_base ? s_.parameters.find("norm.weight").gradient.data() : nullptr;
    s_.gradients.rms_norm(dx.data(), dweight, dy, x, s_.base.weights.norm.data(), N, C,
                          c_.rms_norm_eps, s_.scratch, s_.pool);
    for (int64_t n = 0; n < N; ++n) {
      float* to = s_.dhidden.data() + (rows[n] - laid_.layout.first_learned) * C;
      for (int64_t c = 0; c < C; ++c) to[c] += dx[n * C + c];
    }
  }

  /// Next tokens, with the embeddings as the output layer.
  void model_language(std::vector<BatchLoss>& losses) {
    if (laid_.targets.empty()) return;
    constexpr size_t kChunk = 512;
    const int64_t C = c_.hidden_size;
    const int64_t V = c_.vocab_size;
    s_.pack_embedding();
    for (size_t begin = 0; begin < laid_.targets.size(); begin += kChunk) {
      const size_t end = std::min(laid_.targets.size(), begin + kChunk);
      const auto N = static_cast<int64_t>(end - begin);
      std::vector<int64_t> rows;
      for (size_t i = begin; i < end; ++i) rows.push_back(laid_.targets[i].row);
      Buffer<float> last;
      gather(last, s_.hidden.data(), rows, C);
      s_.normed.reserve(N * C);
      s_.ops.rms_norm(s_.normed.data(), last.data(), s_.base.weights.norm.data(), N, C,
                      c_.rms_norm_eps, s_.pool);
      s_.logits.reserve(N * V);
      s_.product(s_.logits.data(), s_.normed.data(), N, s_.embedding);
      std::vector<double> own(N);
      s_.pool.run(N, [&](int64_t n, int) {
        const TokenTarget& target = laid_.targets[begin + n];
        own[n] = token_loss(s_.logits.data() + n * V, V, target.token,
                            static_cast<double>(batches_[target.batch].token_weight));
      });
      for (int64_t n = 0; n < N; ++n) losses[laid_.targets[begin + n].batch].token_loss += own[n];
      if (!learn_) continue;
      s_.dnormed.reserve(N * C);
      s_.product(s_.dnormed.data(), s_.logits.data(), N, s_.embedding_transposed);
      norm_backward(s_.dnormed.data(), last.data(), rows);
      if (s_.options.train_base)
        s_.network->outer_product(s_.parameters.find("embed_tokens.weight"), s_.logits.data(), V,
                                  s_.normed.data(), C, N);
    }
  }

  void embed_backward() {
    const int64_t C = c_.hidden_size;
    Parameter& embedding = s_.parameters.find("embed_tokens.weight");
    for (int64_t row = 0; row < learned_; ++row) {
      float* to = embedding.gradient.data() + laid_.layout.plan.tokens[row] * C;
      const float* from = s_.dhidden.data() + row * C;
      for (int64_t c = 0; c < C; ++c) to[c] += from[c];
    }
  }

  State& s_;
  const ModelConfig& c_;
  const std::vector<TrainBatch>& batches_;
  const bool learn_;
  const Laid laid_;
  const int64_t first_;
  int64_t learned_ = 0;
};

Trainer::Trainer(const ModelSource& source, const TrainerOptions& options)
    : state_(std::make_unique<State>(source, options)) {}

Trainer::~Trainer() = default;

std::vector<ParameterInfo> Trainer::parameters() const {
  std::vector<ParameterInfo> infos;
  for (const Parameter& parameter : state_->parameters.all())
    infos.push_back({parameter.name, parameter.shape});
  return infos;
}

std::vector<float> Trainer::read(const std::string& name, ParameterField field) const {
  const std::lock_guard lock(state_->mutex);
  Parameter& parameter = state_->parameters.find(name);
  const Buffer<float>& from = parameter.field(field);
  return {from.data(), from.data() + parameter.count};
}

void Trainer::write(const std::string& name, ParameterField field,
                    const std::vector<float>& values) {
  const std::lock_guard lock(state_->mutex);
  Parameter& parameter = state_->parameters.find(name);
  if (static_cast<int64_t>(values.size()) != parameter.count)
    refuse("WRONG_SHAPE", name,
           "the parameter has " + std::to_string(parameter.count) + " elements, " +
               std::to_string(values.size()) + " were given");
  for (const float value : values)
    if (!std::isfinite(value)) refuse("NON_FINITE", name, "parameters must be finite");
  std::copy(values.begin(), values.end(), parameter.field(field).data());
  if (field == ParameterField::kValue) state_->changed.insert(parameter.unit);
}

std::vector<BatchLoss> Trainer::pass(const std::vector<TrainBatch>& batches, bool learn,
                                     uint64_t seed, const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  state_->check_batches(batches);
  state_->pack();
  return Pass(*state_, batches, learn, seed).run(cancelled);
}

double Trainer::update(int64_t unit, const AdamStep& step, float head_rate, double clip) {
  const std::lock_guard lock(state_->mutex);
  const auto experts = static_cast<int64_t>(state_->options.experts.size());
  if (unit < (state_->options.train_base ? kBaseUnit : 0) || unit >= experts)
    refuse("UNKNOWN_UNIT", "unit", "the trainer learns no such expert or base");
  if (!(step.learning_rate >= 0) || !(head_rate >= 0) || step.step < 1)
    refuse("BAD_STEP", "step", "steps count from 1 and learning rates are not negative");
  state_->changed.insert(unit);
  return train::update(state_->parameters, unit, step, head_rate, clip, state_->gradients,
                       state_->pool);
}

std::vector<float> Trainer::trunk(const Batch& batch, const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  const std::vector<TrainBatch> batches{{batch, {}, 0, {}}};
  s.check_batches(batches);
  s.pack();
  const Laid laid = s.lay_out(batches, 0);
  s.embed(laid.layout.plan);
  s.network->forward(laid.layout, s.hidden, 0, s.first_layer(s.config), false, cancelled);
  return {s.hidden.data(), s.hidden.data() + laid.layout.plan.rows.count() * s.config.hidden_size};
}

const char* Trainer::isa() const { return state_->ops.name; }

}  // namespace dmoerm
