#include "weights.h"

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <string>

#include "base_tensors.h"
#include "dmoerm/error.h"

namespace dmoerm {
namespace {

EmbeddingTable load_embedding(const BaseTensors& tensors, const ModelConfig& config,
                              ThreadPool& pool) {
  const TensorSource& source =
      tensors.find("embed_tokens.weight", {config.vocab_size, config.hidden_size});
  EmbeddingTable table{source.type, config.hidden_size, tensors.raw(source)};
  std::atomic<int64_t> bad{-1};
  std::vector<std::vector<float>> rows(pool.size(), std::vector<float>(config.hidden_size));
  pool.run(config.vocab_size, [&](int64_t token, int thread) {
    table.row(rows[thread].data(), static_cast<int32_t>(token));
    for (const float value : rows[thread])
      if (!(value - value == 0.0f)) bad.store(token);
  });
  if (bad.load() >= 0)
    throw Error(
        Code::kDataLoss, "NON_FINITE_WEIGHT", source.name,
        "tensor " + source.name + " holds NaN or infinity in row " + std::to_string(bad.load()));
  return table;
}

/// Calls `work` for every linear layer, several at a time; throws what the first of them threw.
void for_each_linear(BaseWeights& base, ThreadPool& pool,
                     const std::function<void(Matrix&, int64_t layer, Target)>& work) {
  std::mutex mutex;
  std::exception_ptr failure;
  pool.run(base.config.layer_count * kTargetCount, [&](int64_t i, int) {
    try {
      const int64_t l = i / kTargetCount;
      work(base.layers[l].linear[i % kTargetCount], l, static_cast<Target>(i % kTargetCount));
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (failure == nullptr) failure = std::current_exception();
    }
  });
  if (failure != nullptr) std::rethrow_exception(failure);
}

/// Linear layers as they lie in the file, every element checked.
void refer_to_stored(BaseWeights& base, const BaseTensors& tensors, ThreadPool& pool) {
  for_each_linear(base, pool, [&](Matrix& matrix, int64_t layer, Target target) {
    const LinearShape shape = linear_shape(base.config, target);
    const TensorSource& tensor = tensors.find(linear_name(layer, target), {shape.out, shape.in});
    tensors.check(tensor);
    matrix.type = WeightType::kStored;
    matrix.N = shape.out;
    matrix.K = shape.in;
    matrix.data = tensors.raw(tensor);
    matrix.bytes = tensor.bytes;
    matrix.stored = tensor.type;
    matrix.interleaved_head = tensor.rope_interleaved ? base.config.head_dim : 0;
  });
}

void pack(BaseWeights& base, const BaseTensors& tensors, const Ops& ops, ThreadPool& pool) {
  for_each_linear(base, pool, [&](Matrix& matrix, int64_t layer, Target target) {
    ThreadPool alone(1, pool.memory());
    const LinearShape shape = linear_shape(base.config, target);
    const std::vector<float> weight =
        tensors.read(linear_name(layer, target), {shape.out, shape.in});
    ops.pack_matrix(matrix, weight.data(), shape.out, shape.in, base.type, alone);
  });
}

/// Bases below this are packed in a moment: not worth a file.
constexpr int64_t kWorthCaching = 64 << 20;

/// Packed linear layers, from the cache if it has them; otherwise it gets them.
PackedState pack_or_map(BaseWeights& base, const ModelSource& source, const BaseTensors& tensors,
                        const std::string& cache, const Ops& ops, ThreadPool& pool) {
  std::vector<Matrix*> matrices;
  int64_t bytes = 0;
  for (LayerWeights& layer : base.layers)
    for (int t = 0; t < kTargetCount; ++t) {
      Matrix& matrix = layer.linear[t];
      const LinearShape shape = linear_shape(base.config, static_cast<Target>(t));
      matrix.type = base.type;
      matrix.N = shape.out;
      matrix.K = shape.in;
      matrix.bytes = ops.matrix_bytes(base.type, shape.out, shape.in);
      bytes += matrix.bytes;
      matrices.push_back(&matrix);
    }
  // A device's matrices are no file's pages.
  if (cache.empty() || bytes < kWorthCaching || !pool.memory().is_host()) {
    pack(base, tensors, ops, pool);
    return PackedState::kNotCached;
  }
  const std::string path = PackedFile::path_for(cache, source, base.type, ops.name);
  if (base.packed.map(path, matrices, pool)) return PackedState::kMapped;
  pack(base, tensors, ops, pool);
  return PackedFile::write(path, matrices, pool) ? PackedState::kWritten
                                                 : PackedState::kNotWritable;
}

constexpr const char* kHeadName = "lm_head.weight";

/// Copies of what ops read beside matrices, where they can read it.
class Placer {
 public:
  Placer(Constants& out, Memory& memory) : out_(out), memory_(memory) {}

  const uint8_t* place(const uint8_t* from, int64_t bytes) {
    if (memory_.is_host() || bytes == 0) return bytes == 0 ? nullptr : from;
    Buffer<uint8_t>& copy = out_.copies.emplace_back();
    copy.reserve(bytes, memory_);
    memory_.write(copy.data(), from, bytes);
    return copy.data();
  }

  const float* place(const std::vector<float>& from) {
    return reinterpret_cast<const float*>(place(reinterpret_cast<const uint8_t*>(from.data()),
                                                static_cast<int64_t>(from.size() * sizeof(float))));
  }

 private:
  Constants& out_;
  Memory& memory_;
};

/// The table as a device takes it: as it lies in the file, or in float32 if that is neither float32 nor bfloat16.
void place_table(Constants& out, const EmbeddingTable& table, int64_t vocab_size, Placer& placer,
                 ThreadPool& pool) {
  out.table_type = table.type;
  const int64_t elements = vocab_size * table.width;
  if (pool.memory().is_host() || table.type == TensorType::kF32 ||
      table.type == TensorType::kBF16) {
    out.table =
        placer.place(table.bytes, elements / block_elements(table.type) * block_bytes(table.type));
    return;
  }
  std::vector<float> decoded(elements);
  pool.run(vocab_size, [&](int64_t token, int) {
    table.row(decoded.data() + token * table.width, static_cast<int32_t>(token));
  });
  out.table_type = TensorType::kF32;
  out.table = reinterpret_cast<const uint8_t*>(placer.place(decoded));
}

void place_constants(BaseWeights& base, ThreadPool& pool) {
  Constants& out = base.constants;
  Placer placer(out, pool.memory());
  place_table(out, base.embedding, base.config.vocab_size, placer, pool);
  out.norm = placer.place(base.norm);
  for (const LayerWeights& layer : base.layers) {
    Constants::Layer placed{placer.place(layer.input_norm),
                            placer.place(layer.post_norm),
                            placer.place(layer.q_norm),
                            placer.place(layer.k_norm),
                            {}};
    for (int t = 0; t < kTargetCount; ++t) placed.bias[t] = placer.place(layer.bias[t]);
    out.layers.push_back(placed);
  }
}

void check_config(const ModelConfig& c) {
  const bool sizes = c.hidden_size > 0 && c.layer_count > 0 && c.head_count > 0 &&
                     c.kv_head_count > 0 && c.head_dim > 0 && c.ffn_size > 0 && c.vocab_size > 0 &&
                     c.max_positions > 0;
  if (!sizes || c.head_count % c.kv_head_count != 0 || c.head_dim % 2 != 0 ||
      static_cast<int64_t>(c.inverse_frequencies.size()) != c.head_dim / 2 ||
      static_cast<int64_t>(c.sliding_windows.size()) != c.layer_count)
    throw Error(Code::kInvalidArgument, "BAD_CONFIG", "config",
                "the model configuration contradicts itself");
}

}  // namespace

LinearShape linear_shape(const ModelConfig& c, Target target) {
  const int64_t q = c.head_count * c.head_dim;
  const int64_t kv = c.kv_head_count * c.head_dim;
  switch (target) {
    case Target::kQ:
      return {q, c.hidden_size};
    case Target::kK:
    case Target::kV:
      return {kv, c.hidden_size};
    case Target::kO:
      return {c.hidden_size, q};
    case Target::kGate:
    case Target::kUp:
      return {c.ffn_size, c.hidden_size};
    case Target::kDown:
      return {c.hidden_size, c.ffn_size};
  }
  throw Error(Code::kInternal, "UNKNOWN_TARGET", "", "unknown linear layer");
}

const char* target_name(Target target) {
  static constexpr const char* kNames[kTargetCount] = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  return kNames[static_cast<int>(target)];
}

void EmbeddingTable::row(float* out, int32_t token) const {
  const int64_t row_bytes = width / block_elements(type) * block_bytes(type);
  decode(out, bytes + token * row_bytes, type, width);
}

int64_t BaseWeights::bytes() const {
  int64_t bytes = config.vocab_size * config.hidden_size / block_elements(embedding.type) *
                  block_bytes(embedding.type);
  for (const LayerWeights& layer : layers)
    for (const Matrix& matrix : layer.linear) bytes += matrix.bytes;
  return bytes;
}

BaseWeights load_base(const ModelSource& source, WeightType type, const std::string& cache,
                      const Ops& ops, ThreadPool& pool) {
  const ModelConfig& config = source.config;
  check_config(config);
  BaseWeights base;
  base.reader = std::make_unique<TensorReader>(source.files);
  const BaseTensors tensors(source, *base.reader);
  base.config = config;
  base.type = type;
  base.embedding = load_embedding(tensors, config, pool);
  base.norm = tensors.read("norm.weight", {config.hidden_size});
  base.layers.resize(config.layer_count);
  for (int64_t l = 0; l < config.layer_count; ++l) {
    LayerWeights& layer = base.layers[l];
    const std::string prefix = "layers." + std::to_string(l) + ".";
    layer.input_norm = tensors.read(prefix + "input_layernorm.weight", {config.hidden_size});
    layer.post_norm =
        tensors.read(prefix + "post_attention_layernorm.weight", {config.hidden_size});
    layer.q_norm = tensors.read_optional(prefix + "self_attn.q_norm.weight", {config.head_dim});
    layer.k_norm = tensors.read_optional(prefix + "self_attn.k_norm.weight", {config.head_dim});
    for (int t = 0; t < kTargetCount; ++t) {
      const LinearShape shape = linear_shape(config, static_cast<Target>(t));
      tensors.find(linear_name(l, static_cast<Target>(t)), {shape.out, shape.in});
      layer.bias[t] = tensors.read_optional(prefix + target_name(static_cast<Target>(t)) + ".bias",
                                            {shape.out});
    }
  }
  if (tensors.has(kHeadName))
    base.head = tensors.find(kHeadName, {config.vocab_size, config.hidden_size});
  if (type == WeightType::kStored)
    refer_to_stored(base, tensors, pool);
  else
    base.packed_state = pack_or_map(base, source, tensors, cache, ops, pool);
  place_constants(base, pool);
  return base;
}

Matrix load_head(const BaseWeights& base, const Ops& ops, ThreadPool& pool) {
  const int64_t V = base.config.vocab_size;
  const int64_t C = base.config.hidden_size;
  if (!base.head && !base.config.tied_embeddings)
    throw Error(Code::kFailedPrecondition, "NO_LANGUAGE_MODEL_HEAD", kHeadName,
                "the base was saved without its language-model head, so that it cannot generate");
  Matrix matrix;
  if (base.type == WeightType::kStored) {
    if (base.head) base.reader->read(*base.head);  // every element checked, as in `load_embedding`
    matrix.type = WeightType::kStored;
    matrix.N = V;
    matrix.K = C;
    matrix.stored = base.head ? base.head->type : base.embedding.type;
    matrix.data = base.head ? base.reader->raw(*base.head) : base.embedding.bytes;
    matrix.bytes = V * C / block_elements(matrix.stored) * block_bytes(matrix.stored);
    return matrix;
  }
  std::vector<float> weight;
  if (base.head) {
    weight = base.reader->read(*base.head);
  } else {
    weight.resize(V * C);
    pool.run(V, [&](int64_t token, int) {
      base.embedding.row(weight.data() + token * C, static_cast<int32_t>(token));
    });
  }
  ops.pack_matrix(matrix, weight.data(), V, C, base.type, pool);
  return matrix;
}

}  // namespace dmoerm
