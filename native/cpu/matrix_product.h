// The products behind Backend::matmul, for kernels that contain one and account for its time themselves.
#pragma once

#include <memory>

#include "ops/buffer.h"

namespace hdpo {

class MatrixProducts {
 public:
  // bfloat16Instructions: whether products of bfloat16 run in bfloat16; otherwise their operands are widened,
  // block by block, and multiplied in float32. Both round the same operands.
  MatrixProducts(Backend& backend, bool bfloat16Instructions);
  ~MatrixProducts();

  // out = op(a) * op(b) + beta * out; shapes and types as Backend::matmul has them.
  void multiply(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                float beta);

 private:
  struct BFloat16Products;  // oneDNN's primitives and their operands
  void multiplyWidened(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                       float beta);

  Backend& backend_;
  std::unique_ptr<BFloat16Products> bfloat16_;  // null without the instructions
  Buffer operands_;                             // the operands that are not as the product wants them
};

// AVX512-BF16, asked at run time: oneDNN chooses its instructions so, whatever this build was compiled for.
bool processorHasBFloat16();

}  // namespace hdpo
