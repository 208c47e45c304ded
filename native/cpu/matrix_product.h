// The products behind Backend::matmul, for kernels that contain one and account for its time themselves.
#pragma once

#include <memory>

#include "ops/buffer.h"

namespace hdpo {

class MatrixProducts {
 public:
  // bfloat16Instructions: whether products of bfloat16 run in bfloat16. Otherwise their operands are widened
  // block by block and multiplied in float32. Both ways round the operands alike.
  MatrixProducts(Backend& backend, bool bfloat16Instructions);
  ~MatrixProducts();

  // out = op(a) * op(b) + beta * out; shapes and types are those of Backend::matmul.
  void multiply(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                float beta);

 private:
  struct BFloat16Products;  // oneDNN's primitives and their operands
  void multiplyWidened(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                       float beta);

  Backend& backend_;
  std::unique_ptr<BFloat16Products> bfloat16_;  // null without the instructions
  Buffer operands_;                             // operands converted to what the product wants
};

// AVX512-BF16, asked for at run time, whatever this build was compiled for: oneDNN chooses its instructions
// in the same way.
bool processorHasBFloat16();

}  // namespace hdpo
