// The plain loop that stands in for cuBLAS: out = op(a) * op(b) + beta * out, with float64 sums and any mix
// of float32 and bfloat16 for the operands and out.
#pragma once

#include "core/float_formats.h"
#include "core/tensor.h"

namespace hdpo {

inline void plainProduct(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                         bool transposeB, float beta) {
  const auto at = [](const Tensor& matrix, int64_t r, int64_t c) {
    const int64_t i = r * matrix.shape[1] + c;
    return double{matrix.dtype == DType::Float32
                      ? static_cast<const float*>(matrix.data)[i]
                      : fromBFloat16(static_cast<const uint16_t*>(matrix.data)[i])};
  };
  const int64_t inner = a.shape[transposeA ? 0 : 1];
  for (int64_t i = 0; i < out.shape[0]; ++i) {
    for (int64_t j = 0; j < out.shape[1]; ++j) {
      double sum = beta == 0 ? 0 : double{beta} * at(out, i, j);
      for (int64_t k = 0; k < inner; ++k) {
        sum += (transposeA ? at(a, k, i) : at(a, i, k)) * (transposeB ? at(b, j, k) : at(b, k, j));
      }
      const int64_t target = i * out.shape[1] + j;
      if (out.dtype == DType::Float32) {
        static_cast<float*>(out.data)[target] = static_cast<float>(sum);
      } else {
        static_cast<uint16_t*>(out.data)[target] = toBFloat16(static_cast<float>(sum));
      }
    }
  }
}

}  // namespace hdpo
