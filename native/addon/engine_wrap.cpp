#include "engine_wrap.h"

#include <atomic>
#include <utility>

#include "convert.h"
#include "dmoerm/error.h"
#include "dto.h"
#include "promise_worker.h"

namespace dmoerm::addon {
namespace {

int64_t handle_argument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber())
    throw Napi::TypeError::New(
        info.Env(), "native: argument " + std::to_string(index) + " must be a task handle");
  return info[index].As<Napi::Number>().Int64Value();
}

Engine& loaded(const std::unique_ptr<Engine>& engine) {
  if (engine == nullptr)
    throw Error(Code::kFailedPrecondition, "ENGINE_DISPOSED", "",
                "the engine is not loaded or was disposed of");
  return *engine;
}

Napi::Value undefined(Napi::Env env, Nothing&) { return env.Undefined(); }

/// {promise, cancel} of work that `cancelled` ends.
Napi::Object cancellable(Napi::Promise promise, std::shared_ptr<std::atomic<bool>> cancelled) {
  Napi::Object call = Napi::Object::New(promise.Env());
  call.Set("promise", promise);
  call.Set("cancel", Napi::Function::New(promise.Env(), [cancelled](const Napi::CallbackInfo&) {
             cancelled->store(true);
           }));
  return call;
}

}  // namespace

Napi::Function EngineWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeEngine",
      {InstanceMethod<&EngineWrap::load>("load"), InstanceMethod<&EngineWrap::add_task>("addTask"),
       InstanceMethod<&EngineWrap::remove_task>("removeTask"),
       InstanceMethod<&EngineWrap::evaluate>("evaluate"),
       InstanceMethod<&EngineWrap::generate>("generate"),
       InstanceMethod<&EngineWrap::memory>("memory"),
       InstanceMethod<&EngineWrap::dispose>("dispose")});
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

Napi::Value EngineWrap::load(const Napi::CallbackInfo& info) {
  auto source = std::make_shared<ModelSource>(to_model_source(object_argument(info, 0)));
  const EngineOptions options = to_engine_options(object_argument(info, 1));
  return run_on<LoadedInfo>(
      *executor_, Value(),
      [slot = engine_, source, options] {
        if (*slot != nullptr)
          throw Error(Code::kFailedPrecondition, "ALREADY_LOADED", "",
                      "the engine is loaded already");
        *slot = std::make_unique<Engine>(*source, options);
        const Engine& engine = **slot;
        return LoadedInfo{engine.isa(), engine.threads(), engine.weight_type(),
                          engine.packed_state()};
      },
      [](Napi::Env env, LoadedInfo& info) { return from_loaded(env, info); });
}

Napi::Value EngineWrap::memory(const Napi::CallbackInfo&) {
  return run_on<EngineMemory>(
      *executor_, Value(), [slot = engine_] { return loaded(*slot).memory(); },
      [](Napi::Env env, EngineMemory& memory) { return from_memory(env, memory); });
}

Napi::Value EngineWrap::add_task(const Napi::CallbackInfo& info) {
  auto source = std::make_shared<TaskSource>(to_task_source(object_argument(info, 0)));
  return run_on<int64_t>(
      *executor_, Value(), [slot = engine_, source] { return loaded(*slot).add_task(*source); },
      [](Napi::Env env, int64_t& handle) -> Napi::Value {
        return Napi::Number::New(env, static_cast<double>(handle));
      });
}

Napi::Value EngineWrap::remove_task(const Napi::CallbackInfo& info) {
  const int64_t handle = handle_argument(info, 0);
  return run_on<Nothing>(
      *executor_, Value(),
      [slot = engine_, handle] {
        loaded(*slot).remove_task(handle);
        return Nothing{};
      },
      undefined);
}

Napi::Value EngineWrap::evaluate(const Napi::CallbackInfo& info) {
  auto batches = std::make_shared<std::vector<Batch>>(to_batches(object_argument(info, 0)));
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  return cancellable(run_on<Evaluation>(
                         *executor_, Value(),
                         [slot = engine_, batches, cancelled] {
                           return loaded(*slot).evaluate(*batches, *cancelled);
                         },
                         from_evaluation),
                     cancelled);
}

Napi::Value EngineWrap::generate(const Napi::CallbackInfo& info) {
  auto generation = std::make_shared<Generation>(to_generation(object_argument(info, 0)));
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  return cancellable(run_on<std::vector<Completion>>(
                         *executor_, Value(),
                         [slot = engine_, generation, cancelled] {
                           return loaded(*slot).generate(*generation, *cancelled);
                         },
                         from_completions),
                     cancelled);
}

Napi::Value EngineWrap::dispose(const Napi::CallbackInfo&) {
  return run_on<Nothing>(
      *executor_, Value(),
      [slot = engine_] {
        slot->reset();
        return Nothing{};
      },
      undefined);
}

}  // namespace dmoerm::addon
