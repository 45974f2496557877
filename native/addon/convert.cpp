#include "convert.h"

#include <string>
#include <vector>

namespace dmoerm::addon {
namespace {

[[noreturn]] void mistyped(const Napi::Object& dto, const char* field, const char* type) {
  throw Napi::TypeError::New(dto.Env(), std::string("native: field ") + field + " must be " + type);
}

double number(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsNumber()) mistyped(dto, field, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

int64_t integer(const Napi::Object& dto, const char* field) {
  const double value = number(dto, field);
  if (!(value >= -9007199254740991.0 && value <= 9007199254740991.0) ||
      value != static_cast<double>(static_cast<int64_t>(value)))
    mistyped(dto, field, "an integer");
  return static_cast<int64_t>(value);
}

std::string text(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsString()) mistyped(dto, field, "a string");
  return value.As<Napi::String>().Utf8Value();
}

bool flag(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsBoolean()) mistyped(dto, field, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

Napi::Object object(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsObject()) mistyped(dto, field, "an object");
  return value.As<Napi::Object>();
}

Napi::Array array(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsArray()) mistyped(dto, field, "an array");
  return value.As<Napi::Array>();
}

template <class T, class Read>
std::vector<T> list(const Napi::Object& dto, const char* field, Read read) {
  const Napi::Array values = array(dto, field);
  std::vector<T> out;
  out.reserve(values.Length());
  for (uint32_t i = 0; i < values.Length(); ++i) {
    const Napi::HandleScope scope(dto.Env());
    out.push_back(read(values.Get(i)));
  }
  return out;
}

template <class T>
std::vector<T> numbers(const Napi::Object& dto, const char* field) {
  return list<T>(dto, field, [&](const Napi::Value& value) {
    if (!value.IsNumber()) mistyped(dto, field, "an array of numbers");
    return static_cast<T>(value.As<Napi::Number>().DoubleValue());
  });
}

std::vector<std::string> texts(const Napi::Object& dto, const char* field) {
  return list<std::string>(dto, field, [&](const Napi::Value& value) {
    if (!value.IsString()) mistyped(dto, field, "an array of strings");
    return value.As<Napi::String>().Utf8Value();
  });
}

template <class T, class Read>
std::vector<T> objects(const Napi::Object& dto, const char* field, Read read) {
  return list<T>(dto, field, [&](const Napi::Value& value) {
    if (!value.IsObject()) mistyped(dto, field, "an array of objects");
    return read(value.As<Napi::Object>());
  });
}

/// Elements of a typed array, copied: the caller's memory may move or change while the engine
/// works.
template <class T>
std::vector<T> typed(const Napi::Value& value, napi_typedarray_type type, const Napi::Object& dto,
                     const char* field) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    mistyped(dto, field, type == napi_int32_array ? "Int32Array" : "Float32Array");
  const auto view = value.As<Napi::TypedArrayOf<T>>();
  return std::vector<T>(view.Data(), view.Data() + view.ElementLength());
}

std::vector<int32_t> tokens(const Napi::Value& value, const Napi::Object& dto, const char* field) {
  return typed<int32_t>(value, napi_int32_array, dto, field);
}

TensorType to_tensor_type(const Napi::Object& dto, const std::string& name) {
  static const std::pair<const char*, TensorType> kTypes[] = {
      {"F32", TensorType::kF32},   {"F16", TensorType::kF16},   {"BF16", TensorType::kBF16},
      {"Q8_0", TensorType::kQ8_0}, {"Q4_0", TensorType::kQ4_0}, {"Q4_1", TensorType::kQ4_1},
      {"Q4_K", TensorType::kQ4_K}, {"Q6_K", TensorType::kQ6_K}};
  for (const auto& [known, type] : kTypes)
    if (name == known) return type;
  mistyped(dto, "type", "a known tensor type");
}

TensorSource to_tensor(const Napi::Object& dto) {
  TensorSource tensor;
  tensor.name = text(dto, "name");
  tensor.type = to_tensor_type(dto, text(dto, "type"));
  tensor.shape = numbers<int64_t>(dto, "shape");
  tensor.file = static_cast<int32_t>(integer(dto, "file"));
  tensor.offset = integer(dto, "offset");
  tensor.bytes = integer(dto, "bytes");
  tensor.rope_interleaved = flag(dto, "ropeInterleaved");
  return tensor;
}

LoraSource to_lora(const Napi::Object& dto) {
  static constexpr const char* kTargets[kTargetCount] = {
      "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  LoraSource lora;
  lora.layer = integer(dto, "layer");
  const std::string target = text(dto, "target");
  int at = 0;
  while (at < kTargetCount && target != kTargets[at]) ++at;
  if (at == kTargetCount) mistyped(dto, "target", "a linear layer");
  lora.target = static_cast<Target>(at);
  lora.rank = integer(dto, "rank");
  lora.scale = static_cast<float>(number(dto, "scale"));
  lora.a = to_tensor(object(dto, "a"));
  lora.b = to_tensor(object(dto, "b"));
  return lora;
}

ModelConfig to_config(const Napi::Object& dto) {
  ModelConfig config;
  config.hidden_size = integer(dto, "hiddenSize");
  config.layer_count = integer(dto, "layerCount");
  config.head_count = integer(dto, "headCount");
  config.kv_head_count = integer(dto, "kvHeadCount");
  config.head_dim = integer(dto, "headDim");
  config.ffn_size = integer(dto, "ffnSize");
  config.vocab_size = integer(dto, "vocabSize");
  config.max_positions = integer(dto, "maxPositions");
  config.rms_norm_eps = static_cast<float>(number(dto, "rmsNormEps"));
  config.inverse_frequencies = numbers<double>(dto, "inverseFrequencies");
  config.rope_scale = number(dto, "ropeScale");
  config.sliding_windows = numbers<int64_t>(dto, "slidingWindows");
  return config;
}

ExpertSource to_expert(const Napi::Object& dto) {
  ExpertSource expert;
  expert.adapter = objects<LoraSource>(dto, "adapter", to_lora);
  expert.invocation_tokens = tokens(dto.Get("invocationTokens"), dto, "invocationTokens");
  expert.head_weight = typed<float>(dto.Get("headWeight"), napi_float32_array, dto, "headWeight");
  expert.head_bias = static_cast<float>(number(dto, "headBias"));
  return expert;
}

/// Names in the order of `WeightType`.
constexpr std::string_view kWeightTypes[] = {"f32", "bf16", "int8", "stored"};

/// Hands a vector's elements to JS in an ArrayBuffer of its own.
Napi::Value float_array(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array out = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), out.Data());
  return out;
}

}  // namespace

ModelSource to_model_source(const Napi::Object& dto) {
  ModelSource source;
  source.config = to_config(object(dto, "config"));
  source.files = texts(dto, "files");
  source.tensors = objects<TensorSource>(dto, "tensors", to_tensor);
  return source;
}

EngineOptions to_engine_options(const Napi::Object& dto) {
  EngineOptions options;
  const std::string type = text(dto, "weightType");
  if (type != "auto") {
    const auto* const known = std::find(std::begin(kWeightTypes), std::end(kWeightTypes), type);
    if (known == std::end(kWeightTypes))
      mistyped(dto, "weightType", "'auto', 'f32', 'bf16', 'int8' or 'stored'");
    options.weight_type = static_cast<WeightType>(known - std::begin(kWeightTypes));
  }
  options.threads = static_cast<int>(integer(dto, "threads"));
  options.isa = text(dto, "isa");
  options.cache = text(dto, "cacheDirectory");
  options.max_rows = integer(dto, "maxRows");
  return options;
}

Napi::Value from_loaded(Napi::Env env, const LoadedInfo& info) {
  static constexpr const char* kPacked[] = {"not_cached", "written", "mapped", "not_writable"};
  Napi::Object dto = Napi::Object::New(env);
  dto.Set("isa", info.isa);
  dto.Set("threads", info.threads);
  dto.Set("weightType", std::string(kWeightTypes[static_cast<int>(info.weight_type)]));
  dto.Set("packed", kPacked[static_cast<int>(info.packed)]);
  return dto;
}

Napi::Value from_memory(Napi::Env env, const EngineMemory& memory) {
  Napi::Object dto = Napi::Object::New(env);
  dto.Set("baseBytes", static_cast<double>(memory.base));
  dto.Set("taskBytes", static_cast<double>(memory.tasks));
  dto.Set("workspaceBytes", static_cast<double>(memory.workspace));
  return dto;
}

TaskSource to_task_source(const Napi::Object& dto) {
  TaskSource source;
  const std::string plan = text(dto, "plan");
  if (plan != "full" && plan != "top_layers" && plan != "readout")
    mistyped(dto, "plan", "a sharing plan");
  source.plan = plan == "full"      ? PlanType::kFull
                : plan == "readout" ? PlanType::kReadout
                                    : PlanType::kTopLayers;
  source.top_layers = integer(dto, "topLayers");
  source.files = texts(dto, "files");
  source.adapter = objects<LoraSource>(dto, "adapter", to_lora);
  source.experts = objects<ExpertSource>(dto, "experts", to_expert);
  return source;
}

namespace {

Batch to_batch(const Napi::Object& dto) {
  Batch batch;
  batch.task = integer(dto, "task");
  batch.prompts = list<std::vector<int32_t>>(
      dto, "prompts", [&](const Napi::Value& value) { return tokens(value, dto, "prompts"); });
  batch.candidates = objects<Candidate>(dto, "candidates", [](const Napi::Object& candidate) {
    return Candidate{integer(candidate, "prompt"),
                     tokens(candidate.Get("tokens"), candidate, "tokens")};
  });
  return batch;
}

}  // namespace

std::vector<Batch> to_batches(const Napi::Object& dto) {
  return objects<Batch>(dto, "batches", to_batch);
}

Napi::Value from_evaluation(Napi::Env env, Evaluation& evaluation) {
  Napi::Array outputs = Napi::Array::New(env, evaluation.outputs.size());
  for (uint32_t i = 0; i < evaluation.outputs.size(); ++i) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("embeddings", float_array(env, evaluation.outputs[i].embeddings));
    one.Set("scores", float_array(env, evaluation.outputs[i].scores));
    outputs.Set(i, one);
  }
  Napi::Object dto = Napi::Object::New(env);
  dto.Set("outputs", outputs);
  dto.Set("engineNs", static_cast<double>(evaluation.engine_ns));
  return dto;
}

}  // namespace dmoerm::addon
