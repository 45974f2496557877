#pragma once

#include <napi.h>

#include <memory>

#include "dmoerm/engine.h"
#include "executor.h"

namespace dmoerm::addon {

/// The JS handle of an engine. Its methods are declared in packages/engine/src/native.ts.
class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value add_task(const Napi::CallbackInfo& info);
  Napi::Value remove_task(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  /// Shared with jobs, touched on the executor's thread only; null before load and after dispose.
  std::shared_ptr<std::unique_ptr<Engine>> engine_ = std::make_shared<std::unique_ptr<Engine>>();
  std::unique_ptr<Executor> executor_ = std::make_unique<Executor>();
};

}  // namespace dmoerm::addon
