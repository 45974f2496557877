#include <napi.h>

#include <string>
#include <vector>

#include "cuda/backend.h"
#include "dmoerm/ops.h"
#include "engine_wrap.h"
#include "trainer_wrap.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeEngine", dmoerm::addon::EngineWrap::define(env));
  exports.Set("NativeTrainer", dmoerm::addon::TrainerWrap::define(env));
  const std::vector<std::string> names = dmoerm::instruction_sets();
  Napi::Array sets = Napi::Array::New(env, names.size());
  for (uint32_t i = 0; i < names.size(); ++i) sets.Set(i, names[i]);
  exports.Set("instructionSets", sets);
  Napi::Object gpu = Napi::Object::New(env);
  gpu.Set("available", dmoerm::cuda::find_ops() != nullptr);
  gpu.Set("detail", dmoerm::cuda::describe());
  exports.Set("gpu", gpu);
  return exports;
}

}  // namespace

NODE_API_MODULE(dmoerm, init)
