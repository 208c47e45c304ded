// The product behind Backend::matmul, for kernels that contain one and account for its time themselves.
#pragma once

#include "core/tensor.h"

namespace hdpo {

// out = op(a) * op(b) + beta * out; shapes as Backend::matmul has them.
void matrixProduct(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                   float beta);

}  // namespace hdpo
