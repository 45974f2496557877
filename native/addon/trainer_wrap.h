#pragma once

#include <napi.h>

#include <memory>

#include "dmoerm/trainer.h"
#include "executor.h"

namespace dmoerm::addon {

/// The JS handle of a trainer. Its methods are declared in packages/engine/src/native-trainer.ts.
class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit TrainerWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value pass(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value trunk(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  /// Shared with jobs, touched on the executor's thread only; null before load and after dispose.
  std::shared_ptr<std::unique_ptr<Trainer>> trainer_ = std::make_shared<std::unique_ptr<Trainer>>();
  std::unique_ptr<Executor> executor_ = std::make_unique<Executor>();
};

}  // namespace dmoerm::addon
