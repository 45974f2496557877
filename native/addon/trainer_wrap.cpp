#include "trainer_wrap.h"

#include <atomic>
#include <utility>

#include "convert.h"
#include "convert_trainer.h"
#include "dmoerm/error.h"
#include "dto.h"
#include "promise_worker.h"

namespace dmoerm::addon {
namespace {

Trainer& loaded(const std::unique_ptr<Trainer>& trainer) {
  if (trainer == nullptr)
    throw Error(Code::kFailedPrecondition, "TRAINER_DISPOSED", "",
                "the trainer is not loaded or was disposed of");
  return *trainer;
}

/// What `load` answers.
struct Loaded {
  std::string isa;
  std::vector<ParameterInfo> parameters;
};

Napi::Value undefined(Napi::Env env, Nothing&) { return env.Undefined(); }

Napi::Value floats(Napi::Env env, std::vector<float>& values) { return float_array(env, values); }

/// A call that can be cancelled: its promise, and the function that does it.
Napi::Value cancellable(Napi::Env env, Napi::Value promise,
                        const std::shared_ptr<std::atomic<bool>>& cancelled) {
  Napi::Object call = Napi::Object::New(env);
  call.Set("promise", promise);
  call.Set("cancel", Napi::Function::New(
                         env, [cancelled](const Napi::CallbackInfo&) { cancelled->store(true); }));
  return call;
}

}  // namespace

Napi::Function TrainerWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeTrainer",
      {InstanceMethod<&TrainerWrap::load>("load"), InstanceMethod<&TrainerWrap::read>("read"),
       InstanceMethod<&TrainerWrap::write>("write"), InstanceMethod<&TrainerWrap::pass>("pass"),
       InstanceMethod<&TrainerWrap::update>("update"), InstanceMethod<&TrainerWrap::trunk>("trunk"),
       InstanceMethod<&TrainerWrap::dispose>("dispose")});
}

TrainerWrap::TrainerWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

Napi::Value TrainerWrap::load(const Napi::CallbackInfo& info) {
  auto source = std::make_shared<ModelSource>(to_model_source(object_argument(info, 0)));
  const TrainerOptions options = to_trainer_options(object_argument(info, 1));
  return run_on<Loaded>(
      *executor_, Value(),
      [slot = trainer_, source, options] {
        if (*slot != nullptr)
          throw Error(Code::kFailedPrecondition, "ALREADY_LOADED", "",
                      "the trainer is loaded already");
        *slot = std::make_unique<Trainer>(*source, options);
        return Loaded{(*slot)->isa(), (*slot)->parameters()};
      },
      [](Napi::Env env, Loaded& loaded) {
        Napi::Object dto = Napi::Object::New(env);
        dto.Set("isa", loaded.isa);
        dto.Set("parameters", from_parameters(env, loaded.parameters));
        return dto;
      });
}

Napi::Value TrainerWrap::read(const Napi::CallbackInfo& info) {
  const Napi::Object dto = object_argument(info, 0);
  return run_on<std::vector<float>>(
      *executor_, Value(),
      [slot = trainer_, name = text(dto, "name"), field = to_parameter_field(dto)] {
        return loaded(*slot).read(name, field);
      },
      floats);
}

Napi::Value TrainerWrap::write(const Napi::CallbackInfo& info) {
  const Napi::Object dto = object_argument(info, 0);
  auto values = std::make_shared<std::vector<float>>(
      typed<float>(dto.Get("values"), napi_float32_array, dto, "values"));
  return run_on<Nothing>(
      *executor_, Value(),
      [slot = trainer_, name = text(dto, "name"), field = to_parameter_field(dto), values] {
        loaded(*slot).write(name, field, *values);
        return Nothing{};
      },
      undefined);
}

Napi::Value TrainerWrap::pass(const Napi::CallbackInfo& info) {
  const Napi::Object dto = object_argument(info, 0);
  auto batches = std::make_shared<std::vector<TrainBatch>>(to_train_batches(dto));
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const bool learn = flag(dto, "learn");
  const auto seed = static_cast<uint64_t>(integer(dto, "seed"));
  const Napi::Value promise = run_on<std::vector<BatchLoss>>(
      *executor_, Value(),
      [slot = trainer_, batches, learn, seed, cancelled] {
        return loaded(*slot).pass(*batches, learn, seed, *cancelled);
      },
      [](Napi::Env env, std::vector<BatchLoss>& losses) { return from_losses(env, losses); });
  return cancellable(info.Env(), promise, cancelled);
}

Napi::Value TrainerWrap::update(const Napi::CallbackInfo& info) {
  const Napi::Object dto = object_argument(info, 0);
  return run_on<double>(
      *executor_, Value(),
      [slot = trainer_, unit = integer(dto, "unit"), step = to_adam_step(dto),
       head_rate = static_cast<float>(number(dto, "headLearningRate")),
       clip = number(dto, "clip")] { return loaded(*slot).update(unit, step, head_rate, clip); },
      [](Napi::Env env, double& norm) -> Napi::Value { return Napi::Number::New(env, norm); });
}

Napi::Value TrainerWrap::trunk(const Napi::CallbackInfo& info) {
  auto batch = std::make_shared<Batch>(to_batch(object_argument(info, 0)));
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const Napi::Value promise = run_on<std::vector<float>>(
      *executor_, Value(),
      [slot = trainer_, batch, cancelled] { return loaded(*slot).trunk(*batch, *cancelled); },
      floats);
  return cancellable(info.Env(), promise, cancelled);
}

Napi::Value TrainerWrap::dispose(const Napi::CallbackInfo&) {
  return run_on<Nothing>(
      *executor_, Value(),
      [slot = trainer_] {
        slot->reset();
        return Nothing{};
      },
      undefined);
}

}  // namespace dmoerm::addon
