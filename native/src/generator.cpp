#include "generator.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "dmoerm/error.h"
#include "sample.h"

namespace dmoerm {
namespace {

int64_t aligned(int64_t rows) { return (rows + kKeptAlign - 1) / kKeptAlign * kKeptAlign; }

/// A prompt whose keys and values are kept.
struct Prompt {
  int64_t row = 0;  ///< its first in the store
  int64_t index = 0;
  int64_t users = 0;             ///< sequences in flight
  std::vector<float> embedding;  ///< (C) of its last token
};

/// A completion in flight.
struct Sequence {
  int64_t row = 0;  ///< its first in the store
  Prompt* prompt = nullptr;
  int64_t sample = 0;
  Completion* completion = nullptr;
  std::vector<float> embedding;  ///< (C) of its last token so far
};

class Generator {
 public:
  Generator(const Generation& generation, const AdapterWeights& adapter, const BaseWeights& base,
            const Matrix& head, const Ops& ops, ThreadPool& pool, Workspace& workspace,
            GenerationMemory& memory, int64_t max_rows, const std::atomic<bool>& cancelled)
      : g_(generation),
        adapter_(adapter),
        base_(base),
        head_(head),
        ops_(ops),
        pool_(pool),
        workspace_(workspace),
        m_(memory),
        max_rows_(max_rows),
        cancelled_(cancelled),
        completions_(g_.prompts.size() * g_.samples) {}

  std::vector<Completion> run() {
    make_room();
    while (next_ < count() || !sequences_.empty()) {
      const std::vector<Prompt*> begun = admit();
      advance(begun);
      choose_tokens();
      retire();
    }
    return std::move(completions_);
  }

 private:
  int64_t count() const { return static_cast<int64_t>(completions_.size()); }

  /// Store rows: a region for each prompt that can be in flight, then one for each sequence.
  void make_room() {
    const int64_t sequences = std::min(g_.max_sequences, count());
    const auto all = static_cast<int64_t>(g_.prompts.size());
    const int64_t prompts = std::min(all, sequences / g_.samples + 2);
    int64_t longest = 0;
    for (const GenerationPrompt& prompt : g_.prompts)
      longest = std::max(longest, static_cast<int64_t>(prompt.tokens.size()));
    const int64_t per_prompt = aligned(longest);
    const int64_t per_sequence = aligned(g_.sampling.max_tokens);
    for (int64_t i = 0; i < prompts; ++i) free_prompts_.push_back(i * per_prompt);
    for (int64_t i = 0; i < sequences; ++i)
      free_sequences_.push_back(prompts * per_prompt + i * per_sequence);
    m_.kept.resize(base_.config.layer_count);
    const ModelConfig& c = base_.config;
    for (KeyValues& kept : m_.kept)
      ops_.reserve_key_values(kept, prompts * per_prompt + sequences * per_sequence,
                              {c.head_count, c.kv_head_count, c.head_dim}, pool_.memory());
  }

  /// Begins completions while there is room. Returns their prompts that are not kept yet.
  std::vector<Prompt*> admit() {
    std::vector<Prompt*> begun;
    int64_t rows = 0;
    for (; next_ < count() && !free_sequences_.empty(); ++next_) {
      const int64_t index = next_ / g_.samples;
      if (prompts_.empty() || prompts_.back()->index != index) {
        const auto length = static_cast<int64_t>(g_.prompts[index].tokens.size());
        if (free_prompts_.empty() || (rows > 0 && rows + length > max_rows_)) break;
        rows += length;
        prompts_.push_back(std::make_unique<Prompt>(Prompt{take(free_prompts_), index, 0, {}}));
        begun.push_back(prompts_.back().get());
      }
      Prompt* prompt = prompts_.back().get();
      ++prompt->users;
      sequences_.push_back(
          {take(free_sequences_), prompt, next_ % g_.samples, &completions_[next_], {}});
    }
    return begun;
  }

  static int64_t take(std::vector<int64_t>& from) {
    const int64_t row = from.back();
    from.pop_back();
    return row;
  }

  /// One forward pass: the prompts that begin, and the last token of every sequence that has one.
  void advance(const std::vector<Prompt*>& begun) {
    Plan plan;
    plan.fork_layer = base_.config.layer_count;
    std::vector<std::vector<float>*> embeddings;
    for (Prompt* prompt : begun) {
      const std::vector<int32_t>& tokens = g_.prompts[prompt->index].tokens;
      add(plan, tokens.data(), tokens.size(), 0,
          {{prompt->row, static_cast<int64_t>(tokens.size())}});
      embeddings.push_back(&prompt->embedding);
    }
    for (Sequence& sequence : sequences_) {
      const std::vector<int32_t>& tokens = sequence.completion->tokens;
      if (tokens.empty()) continue;
      const auto before = static_cast<int64_t>(g_.prompts[sequence.prompt->index].tokens.size());
      const auto own = static_cast<int64_t>(tokens.size());
      add(plan, &tokens.back(), 1, before + own - 1,
          {{sequence.prompt->row, before}, {sequence.row, own}});
      embeddings.push_back(&sequence.embedding);
    }
    for (Rows* rows : {&plan.rows, &plan.pooled}) {
      rows->groups.push_back({0, rows->count()});
      rows->adapters.push_back(&adapter_);
    }
    const std::vector<float> out =
        forward(plan, base_, ops_, pool_, workspace_, m_.kept, cancelled_);
    const int64_t C = base_.config.hidden_size;
    for (size_t i = 0; i < embeddings.size(); ++i)
      embeddings[i]->assign(out.begin() + static_cast<int64_t>(i) * C,
                            out.begin() + static_cast<int64_t>(i + 1) * C);
  }

  /// Appends rows whose keys end the spans, and pools the last of them.
  static void add(Plan& plan, const int32_t* tokens, size_t token_count, int64_t position,
                  const std::vector<KvSpan>& spans) {
    const int64_t row = plan.rows.count();
    const auto length = static_cast<int64_t>(token_count);
    for (int64_t i = 0; i < length; ++i) {
      plan.tokens.push_back(tokens[i]);
      plan.rows.positions.push_back(static_cast<int32_t>(position + i));
    }
    plan.rows.segments.push_back({row, length, position, spans});
    const int64_t last = position + length - 1;
    plan.pooled_at.push_back(row + length - 1);
    plan.pooled.segments.push_back({plan.pooled.count(), 1, last, spans});
    plan.pooled.positions.push_back(static_cast<int32_t>(last));
    plan.longest = std::max(plan.longest, static_cast<int32_t>(last + 1));
  }

  /// The next token of every sequence, from its last embedding or its prompt's.
  void choose_tokens() {
    const auto rows = static_cast<int64_t>(sequences_.size());
    const int64_t V = base_.config.vocab_size;
    const Sampling& sampling = g_.sampling;
    compute_logits();
    m_.terms.reserve(rows * V, pool_.memory());
    ops_.softmax_terms(m_.terms.data(), m_.logits.data(), rows, V, 1, pool_);
    const float* logits = to_host(m_.read_logits, m_.logits, rows * V);
    const float* terms = to_host(m_.read_terms, m_.terms, rows * V);
    const float* heated = terms;
    if (sampling.temperature != 0 && sampling.temperature != 1) {
      m_.heated.reserve(rows * V, pool_.memory());
      ops_.softmax_terms(m_.heated.data(), m_.logits.data(), rows, V, 1 / sampling.temperature,
                         pool_);
      heated = to_host(m_.read_heated, m_.heated, rows * V);
    }
    std::vector<Choice> choices(rows);
    pool_.run(rows, [&](int64_t i, int) {
      const Sequence& sequence = sequences_[i];
      const double random = uniform(g_.prompts[sequence.prompt->index].seed, sequence.sample,
                                    static_cast<int64_t>(sequence.completion->tokens.size()));
      choices[i] = choose(logits + i * V, terms + i * V, heated + i * V, V, sampling, random);
    });
    for (int64_t i = 0; i < rows; ++i) {
      const Sequence& sequence = sequences_[i];
      if (choices[i].token < 0)
        throw Error(Code::kFailedPrecondition, "NON_FINITE_LOGITS",
                    "prompts[" + std::to_string(sequence.prompt->index) + "]",
                    "the model's logits after this prompt are not finite");
      sequence.completion->tokens.push_back(choices[i].token);
      sequence.completion->log_probs.push_back(choices[i].log_prob);
    }
  }

  /// Elements of an op's result where the host reads them.
  const float* to_host(std::vector<float>& copy, const Buffer<float>& from, int64_t count) {
    if (pool_.memory().is_host()) return from.data();
    copy.resize(count);
    pool_.memory().read(copy.data(), from.data(), count * static_cast<int64_t>(sizeof(float)));
    return copy.data();
  }

  void compute_logits() {
    const auto rows = static_cast<int64_t>(sequences_.size());
    const int64_t C = base_.config.hidden_size;
    std::vector<float> embeddings;
    embeddings.reserve(rows * C);
    for (const Sequence& sequence : sequences_) {
      const std::vector<float>& own =
          sequence.embedding.empty() ? sequence.prompt->embedding : sequence.embedding;
      embeddings.insert(embeddings.end(), own.begin(), own.end());
    }
    const std::vector<Panel> panels = panels_of({{0, rows}}, ops_.panel_rows);
    const auto end = static_cast<int64_t>(panels.size());
    m_.embeddings.reserve(rows * C, pool_.memory());
    pool_.memory().write(m_.embeddings.data(), embeddings.data(),
                         rows * C * static_cast<int64_t>(sizeof(float)));
    ops_.pack_rows(m_.input, ops_.row_type(head_.type), m_.embeddings.data(), C, panels, 0, end, {},
                   workspace_.scratch, pool_);
    m_.logits.reserve(rows * head_.N, pool_.memory());
    ops_.linear(m_.logits.data(),
                {&panels, 0, end, &m_.input, &head_, nullptr, head_.N, nullptr, nullptr}, false,
                workspace_.scratch, pool_);
  }

  /// Takes completions that are done out of flight.
  void retire() {
    const auto done = [&](Sequence& sequence) {
      Completion& completion = *sequence.completion;
      const std::vector<int32_t>& stops = g_.sampling.stop_tokens;
      completion.stopped =
          std::find(stops.begin(), stops.end(), completion.tokens.back()) != stops.end();
      const auto length = static_cast<int64_t>(completion.tokens.size());
      if (!completion.stopped && length < g_.sampling.max_tokens) return false;
      free_sequences_.push_back(sequence.row);
      --sequence.prompt->users;
      return true;
    };
    sequences_.erase(std::remove_if(sequences_.begin(), sequences_.end(), done), sequences_.end());
    // A prompt with samples to come stays.
    const auto unused = [&](const std::unique_ptr<Prompt>& prompt) {
      if (prompt->users > 0 || next_ < (prompt->index + 1) * g_.samples) return false;
      free_prompts_.push_back(prompt->row);
      return true;
    };
    prompts_.erase(std::remove_if(prompts_.begin(), prompts_.end(), unused), prompts_.end());
  }

  const Generation& g_;
  const AdapterWeights& adapter_;
  const BaseWeights& base_;
  const Matrix& head_;
  const Ops& ops_;
  ThreadPool& pool_;
  Workspace& workspace_;
  GenerationMemory& m_;
  const int64_t max_rows_;
  const std::atomic<bool>& cancelled_;

  std::vector<Completion> completions_;
  int64_t next_ = 0;  ///< completion to begin
  std::vector<int64_t> free_prompts_, free_sequences_;
  std::vector<std::unique_ptr<Prompt>> prompts_;  ///< in the order of the request
  std::vector<Sequence> sequences_;
};

}  // namespace

int64_t GenerationMemory::bytes() const {
  int64_t bytes = input.data.capacity();
  for (const KeyValues& one : kept) bytes += one.bytes();
  for (const Buffer<float>* buffer : {&embeddings, &logits, &terms, &heated, &input.scales})
    bytes += buffer->capacity() * static_cast<int64_t>(sizeof(float));
  return bytes;
}

void check(const Generation& g, const ModelConfig& config) {
  const auto refuse = [](const char* field, const std::string& message) {
    throw Error(Code::kInvalidArgument, "BAD_GENERATION", field, message);
  };
  const Sampling& s = g.sampling;
  if (g.samples < 1) refuse("samples", "samples must be at least 1");
  if (g.max_sequences < 1) refuse("maxSequences", "maxSequences must be at least 1");
  if (s.max_tokens < 1) refuse("sampling.maxTokens", "maxTokens must be at least 1");
  if (!(std::isfinite(s.temperature) && s.temperature >= 0))
    refuse("sampling.temperature", "temperature must be 0 or more");
  if (!(s.top_p > 0 && s.top_p <= 1)) refuse("sampling.topP", "topP must lie in (0, 1]");
  check_tokens(s.stop_tokens, config, "sampling.stopTokens");
  for (size_t i = 0; i < g.prompts.size(); ++i) {
    const std::string field = "prompts[" + std::to_string(i) + "]";
    const std::vector<int32_t>& tokens = g.prompts[i].tokens;
    if (tokens.empty()) refuse(field.c_str(), "the prompt has no tokens");
    check_length(static_cast<int64_t>(tokens.size()) + s.max_tokens, config, field);
    check_tokens(tokens, config, field);
  }
}

std::vector<Completion> generate(const Generation& generation, const AdapterWeights& adapter,
                                 const BaseWeights& base, const Matrix& head, const Ops& ops,
                                 ThreadPool& pool, Workspace& workspace, GenerationMemory& memory,
                                 int64_t max_rows, const std::atomic<bool>& cancelled) {
  return Generator(generation, adapter, base, head, ops, pool, workspace, memory, max_rows,
                   cancelled)
      .run();
}

}  // namespace dmoerm
