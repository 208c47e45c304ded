// Turns a tensor's dtype into a launcher's template argument.
#pragma once

#include <string>

#include "core/error.h"
#include "core/tensor.h"
#include "cuda/types.h"

namespace hdpo::cuda {

// Calls visit(float()) or visit(BFloat16()) for the arguments' types.
template <class Visit>
void withType(DType dtype, const char* op, const Visit& visit) {
  switch (dtype) {
    case DType::Float32:
      return visit(float());
    case DType::BFloat16:
      return visit(BFloat16());
    default:
      throw Error("ERR_NOT_IMPLEMENTED", std::string(op) + " on CUDA takes float32 and bfloat16");
  }
}

// visit(element, cached) for the types of rows and of a cache, which is never more precise than what is
// written to it.
template <class Visit>
void withCacheTypes(DType element, DType cached, const char* op, const Visit& visit) {
  const bool brief = cached == DType::BFloat16;
  if (element == DType::Float32 && !brief) return visit(float(), float());
  if (element == DType::Float32 && brief) return visit(float(), BFloat16());
  require(element == DType::BFloat16 && brief, "ERR_NOT_IMPLEMENTED",
          std::string(op) + " on CUDA has no kernel for bfloat16 rows and a float32 cache");
  visit(BFloat16(), BFloat16());
}

// For ops that have no kernel for other types.
inline void requireFloat32(const char* op, std::initializer_list<Tensor> tensors) {
  for (const Tensor& tensor : tensors) {
    require(tensor.dtype == DType::Float32, "ERR_NOT_IMPLEMENTED",
            std::string(op) + " on CUDA takes float32 alone");
  }
}

template <class T>
T* dataOf(const Tensor& tensor) {
  return static_cast<T*>(tensor.data);
}
inline float* floats(const Tensor& tensor) { return static_cast<float*>(tensor.data); }

}  // namespace hdpo::cuda
