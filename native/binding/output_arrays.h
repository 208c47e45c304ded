// The float arrays that a kernel writes, which belong to JS but are out of its sight until the kernel has
// ended: they are held by references, and become properties of an object when they are taken. (A property of
// an object that is kept meanwhile would be seen by a setter on Object.prototype.)
#pragma once

#include <utility>
#include <vector>

#include "binding/napi.h"

namespace hdpo {

// Used on the JS thread alone, but for the memory that the pointers address.
class OutputArrays {
 public:
  explicit OutputArrays(Napi::Env env) : env_(env) {}

  // An array that begins as zeros.
  float* zeros(const char* name, size_t length) { return add(name, Napi::Float32Array::New(env_, length)); }
  // An array for kernels that write every element, so that the JS thread need not clear it.
  float* toFill(const char* name, size_t length) {
    if (length == 0) return zeros(name, length);
    const auto memory = Napi::Buffer<float>::New(env_, length);
    return add(name, Napi::Float32Array::New(env_, length, memory.ArrayBuffer(), memory.ByteOffset()));
  }
  // An object with every array under its name, to be asked for once.
  Napi::Object take() {
    Napi::Object result = Napi::Object::New(env_);
    for (auto& [name, array] : arrays_) result.Set(name, array.Value());
    arrays_.clear();
    return result;
  }

 private:
  float* add(const char* name, Napi::Float32Array array) {
    arrays_.emplace_back(name, Napi::Reference<Napi::Float32Array>::New(array, 1));
    return array.Data();
  }

  Napi::Env env_;
  std::vector<std::pair<const char*, Napi::Reference<Napi::Float32Array>>> arrays_;
};

}  // namespace hdpo
