#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace dmoerm::addon {

// Fields of the DTOs declared in packages/engine/src/native*.ts. A missing or mistyped one throws a JS TypeError that
// names it.

[[noreturn]] inline void mistyped(const Napi::Object& dto, const char* field, const char* type) {
  throw Napi::TypeError::New(dto.Env(), std::string("native: field ") + field + " must be " + type);
}

inline double number(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsNumber()) mistyped(dto, field, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline int64_t integer(const Napi::Object& dto, const char* field) {
  const double value = number(dto, field);
  if (!(value >= -9007199254740991.0 && value <= 9007199254740991.0) ||
      value != static_cast<double>(static_cast<int64_t>(value)))
    mistyped(dto, field, "an integer");
  return static_cast<int64_t>(value);
}

inline std::string text(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsString()) mistyped(dto, field, "a string");
  return value.As<Napi::String>().Utf8Value();
}

inline bool flag(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsBoolean()) mistyped(dto, field, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

inline Napi::Object object(const Napi::Object& dto, const char* field) {
  const Napi::Value value = dto.Get(field);
  if (!value.IsObject()) mistyped(dto, field, "an object");
  return value.As<Napi::Object>();
}

inline Napi::Array array(const Napi::Object& dto, const char* field) {
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

inline std::vector<std::string> texts(const Napi::Object& dto, const char* field) {
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

inline std::vector<int32_t> tokens(const Napi::Value& value, const Napi::Object& dto,
                                   const char* field) {
  return typed<int32_t>(value, napi_int32_array, dto, field);
}

/// Argument `index` of a call, a DTO.
inline Napi::Object object_argument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsObject())
    throw Napi::TypeError::New(info.Env(),
                               "native: argument " + std::to_string(index) + " must be an object");
  return info[index].As<Napi::Object>();
}

/// Hands a vector's elements to JS in an ArrayBuffer of its own.
inline Napi::Value float_array(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array out = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), out.Data());
  return out;
}

}  // namespace dmoerm::addon
