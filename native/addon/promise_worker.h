#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "dmoerm/error.h"
#include "executor.h"

namespace dmoerm::addon {

/// The result of work that has none.
struct Nothing {};

/// A JS Error with `code` (gRPC status name), `reason` and `field`, for packages/engine to convert.
inline Napi::Error to_js_error(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", code_name(error.code()));
  js.Set("reason", error.reason());
  js.Set("field", error.field());
  return js;
}

/// Runs `work` on `executor` and settles a promise with `convert(env, result)` or a typed error.
/// `keep_alive` is held until then. The one place where native work meets JS: no exception crosses
/// it.
template <class Result>
Napi::Promise run_on(Executor& executor, Napi::Object keep_alive, std::function<Result()> work,
                     std::function<Napi::Value(Napi::Env, Result&)> convert) {
  struct Job {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference keep_alive;
    std::function<Napi::Value(Napi::Env, Result&)> convert;
    std::unique_ptr<Result> result;
    std::unique_ptr<Error> error;
  };
  const Napi::Env env = keep_alive.Env();
  auto job =
      std::make_shared<Job>(Job{Napi::Promise::Deferred::New(env), Napi::Persistent(keep_alive),
                                std::move(convert), nullptr, nullptr});
  auto settle = Napi::ThreadSafeFunction::New(env, Napi::Function(), "dmoerm", 0, 1);
  executor.post([job, work = std::move(work), settle]() mutable {
    try {
      job->result = std::make_unique<Result>(work());
    } catch (const Error& error) {
      job->error = std::make_unique<Error>(error);
    } catch (const std::bad_alloc&) {
      job->error = std::make_unique<Error>(Code::kResourceExhausted, "OUT_OF_MEMORY", "",
                                           "not enough memory");
    } catch (const std::exception& error) {
      job->error = std::make_unique<Error>(Code::kInternal, "NATIVE_FAULT", "", error.what());
    }
    // The job ends on the JS thread: its references may be released only there.
    auto* shared = new std::shared_ptr<Job>(std::move(job));
    const napi_status status =
        settle.BlockingCall(shared, [](Napi::Env js_env, Napi::Function, std::shared_ptr<Job>* s) {
          const std::unique_ptr<std::shared_ptr<Job>> owner(s);
          if (js_env == nullptr) return;
          const Napi::HandleScope scope(js_env);
          Job& done = **s;
          if (done.error != nullptr)
            done.deferred.Reject(to_js_error(js_env, *done.error).Value());
          else
            done.deferred.Resolve(done.convert(js_env, *done.result));
        });
    if (status != napi_ok) delete shared;
    settle.Release();
  });
  return (*job).deferred.Promise();
}

}  // namespace dmoerm::addon
