#include <napi.h>

#include "engine_wrap.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeEngine", dmoerm::addon::EngineWrap::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(dmoerm, init)
