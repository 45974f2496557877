#include "pass.h"

#include <algorithm>

#include "check.h"
#include "layout.h"
#include "losses.h"

namespace dmoerm::train {

namespace {

/// One pass, from batches to gradients.
class Pass {
 public:
  Pass(LearnedModel& model, const std::vector<TrainBatch>& batches, bool learn, uint64_t seed)
      : s_(model),
        memory_(model.pool.memory()),
        c_(model.config),
        batches_(batches),
        learn_(learn),
        laid_(lay_out(batches, seed, model.options, model.adapters)),
        first_(first_layer(model.options, model.config)) {}

  std::vector<BatchLoss> run(const std::atomic<bool>& cancelled) {
    const int64_t C = c_.hidden_size;
    const Plan& plan = laid_.layout.plan;
    if (given_trunk()) {
      s_.hidden.reserve(plan.rows.count() * C, memory_);
      float* to = s_.hidden.data();
      for (const TrainBatch& batch : batches_) {
        write(to, batch.trunk);
        to += batch.trunk.size();
      }
    } else {
      s_.embed(plan);
      s_.network->forward(laid_.layout, s_.hidden, 0, first_, false, cancelled);
    }
    s_.network->forward(laid_.layout, s_.hidden, first_, c_.layer_count, learn_, cancelled);
    learned_ = plan.rows.count() - laid_.layout.first_learned;
    if (learn_) {
      s_.dhidden.reserve(learned_ * C, memory_);
      s_.gradients.clear(s_.dhidden.data(), learned_ * C, s_.pool);
    }
    std::vector<BatchLoss> losses(batches_.size());
    for (size_t i = 0; i < batches_.size(); ++i) {
      rank(i, losses[i]);
      losses[i].token_logprobs.resize(batches_[i].token_weights.size());
    }
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
    const Buffer<float> last = gather(s_.hidden, rows);
    Buffer<float> embeddings;
    embeddings.reserve(N * C, memory_);
    s_.ops.rms_norm(embeddings.data(), last.data(), s_.base.weights.constants.norm, N, C,
                    c_.rms_norm_eps, s_.pool);
    loss.embeddings = read(embeddings, N * C);
    // Heads are small and their sums double: the host's work.
    const std::vector<float> w = read(weight.value, C);
    const float b = read(bias.value, 1)[0];
    loss.scores.resize(N);
    for (int64_t n = 0; n < N; ++n) {
      double sum = 0;
      for (int64_t c = 0; c < C; ++c)
        sum += static_cast<double>(loss.embeddings[n * C + c]) * static_cast<double>(w[c]);
      loss.scores[n] = static_cast<float>(sum + static_cast<double>(b));
    }
    std::vector<double> derivatives(N);
    loss.pair_loss = pair_loss(batches_[i].pairs, loss.scores, derivatives);
    if (!learn_ || batches_[i].pairs.empty()) return;
    std::vector<float> dw = read(weight.gradient, C), db = read(bias.gradient, 1);
    std::vector<float> dembeddings(N * C);
    for (int64_t n = 0; n < N; ++n) {
      const auto d = static_cast<float>(derivatives[n]);
      db[0] += d;
      for (int64_t c = 0; c < C; ++c) {
        dw[c] += d * loss.embeddings[n * C + c];
        dembeddings[n * C + c] = d * w[c];
      }
    }
    write(weight.gradient.data(), dw);
    write(bias.gradient.data(), db);
    write(embeddings.data(), dembeddings);
    norm_backward(embeddings.data(), last.data(), rows);
  }

  /// Through the final norm: adds to the derivatives by the hidden states of `rows`.
  void norm_backward(const float* dy, const float* x, std::vector<int64_t> rows) {
    const int64_t C = c_.hidden_size;
    const auto N = static_cast<int64_t>(rows.size());
    Buffer<float> dx;
    dx.reserve(N * C, memory_);
    s_.gradients.clear(dx.data(), N * C, s_.pool);
    float* dweight =
        s_.options.train_base ? s_.parameters.find("norm.weight").gradient.data() : nullptr;
    s_.gradients.rms_norm(dx.data(), dweight, dy, x, s_.base.weights.constants.norm, N, C,
                          c_.rms_norm_eps, s_.scratch, s_.pool);
    for (int64_t& row : rows) row -= laid_.layout.first_learned;
    s_.gradients.scatter_add(s_.dhidden.data(), learned_, dx.data(), rows, C, s_.pool);
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
      const Buffer<float> last = gather(s_.hidden, rows);
      s_.normed.reserve(N * C, memory_);
      s_.ops.rms_norm(s_.normed.data(), last.data(), s_.base.weights.constants.norm, N, C,
                      c_.rms_norm_eps, s_.pool);
      s_.logits.reserve(N * V, memory_);
      s_.product(s_.logits.data(), s_.normed.data(), N, s_.embedding);
      std::vector<int32_t> tokens;
      std::vector<float> weights;
      for (size_t i = begin; i < end; ++i) {
        const TokenTarget& target = laid_.targets[i];
        tokens.push_back(target.token);
        weights.push_back(batches_[target.batch].token_weights[target.index]);
      }
      const std::vector<double> logprobs =
          s_.gradients.token_logprobs(s_.logits.data(), V, tokens, weights, s_.pool);
      for (int64_t n = 0; n < N; ++n) {
        const TokenTarget& target = laid_.targets[begin + n];
        BatchLoss& loss = losses[target.batch];
        loss.token_loss -= static_cast<double>(weights[n]) * logprobs[n];
        loss.token_logprobs[target.index] = static_cast<float>(logprobs[n]);
      }
      if (!learn_) continue;
      s_.dnormed.reserve(N * C, memory_);
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
    const std::vector<int32_t>& tokens = laid_.layout.plan.tokens;
    s_.gradients.scatter_add(embedding.gradient.data(), c_.vocab_size, s_.dhidden.data(),
                             {tokens.begin(), tokens.begin() + learned_}, C, s_.pool);
  }

  /// Rows of x by index, as rows of their own.
  Buffer<float> gather(const Buffer<float>& x, const std::vector<int64_t>& rows) {
    Buffer<float> out;
    out.reserve(static_cast<int64_t>(rows.size()) * c_.hidden_size, memory_);
    s_.ops.gather(out.data(), x.data(), rows, c_.hidden_size, s_.pool);
    return out;
  }

  std::vector<float> read(const Buffer<float>& from, int64_t count) {
    std::vector<float> values(count);
    memory_.read(values.data(), from.data(), count * static_cast<int64_t>(sizeof(float)));
    return values;
  }

  void write(float* to, const std::vector<float>& values) {
    memory_.write(to, values.data(), static_cast<int64_t>(values.size() * sizeof(float)));
  }

  LearnedModel& s_;
  Memory& memory_;
  const ModelConfig& c_;
  const std::vector<TrainBatch>& batches_;
  const bool learn_;
  const Laid laid_;
  const int64_t first_;
  int64_t learned_ = 0;
};

}  // namespace

std::vector<BatchLoss> run_pass(LearnedModel& model, const std::vector<TrainBatch>& batches,
                                bool learn, uint64_t seed, const std::atomic<bool>& cancelled) {
  return Pass(model, batches, learn, seed).run(cancelled);
}

}  // namespace dmoerm::train
