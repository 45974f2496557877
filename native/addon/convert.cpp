#include "convert.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "dto.h"

namespace dmoerm::addon {
namespace {

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
  config.tied_embeddings = flag(dto, "tiedEmbeddings");
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

}  // namespace

Target to_target(const Napi::Object& dto) {
  static constexpr const char* kTargets[kTargetCount] = {
      "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  const std::string target = text(dto, "target");
  int at = 0;
  while (at < kTargetCount && target != kTargets[at]) ++at;
  if (at == kTargetCount) mistyped(dto, "target", "a linear layer");
  return static_cast<Target>(at);
}

LoraSource to_lora(const Napi::Object& dto) {
  LoraSource lora;
  lora.layer = integer(dto, "layer");
  lora.target = to_target(dto);
  lora.rank = integer(dto, "rank");
  lora.scale = static_cast<float>(number(dto, "scale"));
  lora.a = to_tensor(object(dto, "a"));
  lora.b = to_tensor(object(dto, "b"));
  return lora;
}

PlanType to_plan(const Napi::Object& dto) {
  const std::string plan = text(dto, "plan");
  if (plan != "full" && plan != "top_layers" && plan != "readout")
    mistyped(dto, "plan", "a sharing plan");
  return plan == "full"      ? PlanType::kFull
         : plan == "readout" ? PlanType::kReadout
                             : PlanType::kTopLayers;
}

WeightType to_weight_type(const Napi::Object& dto, const std::string& type) {
  const auto* const known = std::find(std::begin(kWeightTypes), std::end(kWeightTypes), type);
  if (known == std::end(kWeightTypes))
    mistyped(dto, "weightType", "'auto', 'f32', 'bf16', 'int8' or 'stored'");
  return static_cast<WeightType>(known - std::begin(kWeightTypes));
}

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
  if (type != "auto") options.weight_type = to_weight_type(dto, type);
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
  source.plan = to_plan(dto);
  source.top_layers = integer(dto, "topLayers");
  source.files = texts(dto, "files");
  source.adapter = objects<LoraSource>(dto, "adapter", to_lora);
  source.experts = objects<ExpertSource>(dto, "experts", to_expert);
  return source;
}

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

std::vector<Batch> to_batches(const Napi::Object& dto) {
  return objects<Batch>(dto, "batches", to_batch);
}

Generation to_generation(const Napi::Object& dto) {
  Generation generation;
  generation.task = integer(dto, "task");
  generation.prompts = objects<GenerationPrompt>(dto, "prompts", [](const Napi::Object& prompt) {
    return GenerationPrompt{tokens(prompt.Get("tokens"), prompt, "tokens"),
                            static_cast<uint64_t>(integer(prompt, "seed"))};
  });
  generation.samples = integer(dto, "samples");
  generation.sampling.temperature = static_cast<float>(number(dto, "temperature"));
  generation.sampling.top_p = static_cast<float>(number(dto, "topP"));
  generation.sampling.max_tokens = integer(dto, "maxTokens");
  generation.sampling.stop_tokens = tokens(dto.Get("stopTokens"), dto, "stopTokens");
  generation.max_sequences = integer(dto, "maxSequences");
  return generation;
}

Napi::Value from_completions(Napi::Env env, std::vector<Completion>& completions) {
  Napi::Array dtos = Napi::Array::New(env, completions.size());
  for (uint32_t i = 0; i < completions.size(); ++i) {
    const Napi::HandleScope scope(env);
    const Completion& completion = completions[i];
    Napi::Int32Array tokens = Napi::Int32Array::New(env, completion.tokens.size());
    std::copy(completion.tokens.begin(), completion.tokens.end(), tokens.Data());
    Napi::Object dto = Napi::Object::New(env);
    dto.Set("tokens", tokens);
    dto.Set("logProbs", float_array(env, completion.log_probs));
    dto.Set("stopped", completion.stopped);
    dtos.Set(i, dto);
  }
  return dtos;
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
