#include "convert_trainer.h"

#include <algorithm>

#include "convert.h"
#include "dto.h"

namespace dmoerm::addon {
namespace {

LoraShape to_lora_shape(const Napi::Object& dto) {
  LoraShape shape;
  shape.layer = integer(dto, "layer");
  shape.target = to_target(dto);
  shape.rank = integer(dto, "rank");
  shape.scale = static_cast<float>(number(dto, "scale"));
  return shape;
}

LearnerSource to_learner(const Napi::Object& dto) {
  LearnerSource learner;
  learner.adapter = objects<LoraShape>(dto, "adapter", to_lora_shape);
  learner.dropout = static_cast<float>(number(dto, "dropout"));
  learner.invocation_tokens = tokens(dto.Get("invocationTokens"), dto, "invocationTokens");
  return learner;
}

TrainBatch to_train_batch(const Napi::Object& dto) {
  TrainBatch batch;
  batch.batch = to_batch(dto);
  batch.pairs = objects<PairTarget>(dto, "pairs", [](const Napi::Object& pair) {
    return PairTarget{integer(pair, "first"), integer(pair, "second"),
                      static_cast<float>(number(pair, "target")),
                      static_cast<float>(number(pair, "weight"))};
  });
  batch.token_weights =
      typed<float>(dto.Get("tokenWeights"), napi_float32_array, dto, "tokenWeights");
  batch.trunk = typed<float>(dto.Get("trunk"), napi_float32_array, dto, "trunk");
  return batch;
}

}  // namespace

TrainerOptions to_trainer_options(const Napi::Object& dto) {
  TrainerOptions options;
  options.weight_type = to_weight_type(dto, text(dto, "weightType"));
  options.threads = static_cast<int>(integer(dto, "threads"));
  options.isa = text(dto, "isa");
  options.plan = to_plan(dto);
  options.top_layers = integer(dto, "topLayers");
  options.files = texts(dto, "files");
  options.task_adapter = objects<LoraSource>(dto, "taskAdapter", to_lora);
  options.train_base = flag(dto, "trainBase");
  options.experts = objects<LearnerSource>(dto, "experts", to_learner);
  return options;
}

std::vector<TrainBatch> to_train_batches(const Napi::Object& dto) {
  return objects<TrainBatch>(dto, "batches", to_train_batch);
}

AdamStep to_adam_step(const Napi::Object& dto) {
  AdamStep step;
  step.learning_rate = static_cast<float>(number(dto, "learningRate"));
  step.beta1 = static_cast<float>(number(dto, "beta1"));
  step.beta2 = static_cast<float>(number(dto, "beta2"));
  step.eps = static_cast<float>(number(dto, "epsilon"));
  step.decay = static_cast<float>(number(dto, "weightDecay"));
  step.step = integer(dto, "step");
  return step;
}

ParameterField to_parameter_field(const Napi::Object& dto) {
  static constexpr const char* kFields[] = {"value", "gradient", "first_moment", "second_moment"};
  const std::string field = text(dto, "field");
  const auto* const known = std::find(std::begin(kFields), std::end(kFields), field);
  if (known == std::end(kFields))
    mistyped(dto, "field", "'value', 'gradient', 'first_moment' or 'second_moment'");
  return static_cast<ParameterField>(known - std::begin(kFields));
}

Napi::Value from_parameters(Napi::Env env, const std::vector<ParameterInfo>& parameters) {
  Napi::Array out = Napi::Array::New(env, parameters.size());
  for (uint32_t i = 0; i < parameters.size(); ++i) {
    Napi::Array shape = Napi::Array::New(env, parameters[i].shape.size());
    for (uint32_t d = 0; d < parameters[i].shape.size(); ++d)
      shape.Set(d, static_cast<double>(parameters[i].shape[d]));
    Napi::Object one = Napi::Object::New(env);
    one.Set("name", parameters[i].name);
    one.Set("shape", shape);
    out.Set(i, one);
  }
  return out;
}

Napi::Value from_losses(Napi::Env env, const std::vector<BatchLoss>& losses) {
  Napi::Array out = Napi::Array::New(env, losses.size());
  for (uint32_t i = 0; i < losses.size(); ++i) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("pairLoss", losses[i].pair_loss);
    one.Set("tokenLoss", losses[i].token_loss);
    one.Set("tokenLogProbs", float_array(env, losses[i].token_logprobs));
    one.Set("scores", float_array(env, losses[i].scores));
    one.Set("embeddings", float_array(env, losses[i].embeddings));
    out.Set(i, one);
  }
  return out;
}

}  // namespace dmoerm::addon
