// Matrix products. MatrixProducts (cuBLAS on the device) takes operands of one type: where they differ, one
// is rounded to bfloat16 here.
#include <cassert>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/elementwise.h"

namespace hdpo::cuda {

Tensor CudaBackend::rounded(const Tensor& operand, Buffer& memory) {
  if (operand.dtype == DType::BFloat16) return operand;
  Tensor result = operand;
  result.dtype = DType::BFloat16;
  result = memory.holding(*this, result);
  cuda::convert(stream_, dataOf<BFloat16>(result), floats(operand), operand.count());
  return result;
}

void CudaBackend::product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                          bool transposeB, float beta) {
  assert(out.dtype == DType::Float32 || a.dtype == DType::BFloat16 || b.dtype == DType::BFloat16);
  if (a.dtype == b.dtype) {
    products_->product(out, a, transposeA, b, transposeB, beta);
  } else {
    products_->product(out, rounded(a, roundedA_), transposeA, rounded(b, roundedB_), transposeB, beta);
  }
}

void CudaBackend::matmul(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                         bool transposeB, float beta) {
  const double multiplications =
      static_cast<double>(out.count()) * static_cast<double>(a.shape[transposeA ? 0 : 1]);
  const Scope scope(*this, "matmul", 2.0 * multiplications);
  product(out, a, transposeA, b, transposeB, beta);
}

}  // namespace hdpo::cuda
