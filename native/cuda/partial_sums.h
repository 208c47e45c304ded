// Sums over rows, for gradients of weights: blocks of rows give partial sums, which are added in order.
#pragma once

#include "cuda/launch.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// sums [C] += the sum of the rows of partials [blocks, C], which are `stride` apart (0: C).
void addPartialSums(Stream stream, float* sums, const float* partials, const MatrixShape& shape,
                    int64_t stride = 0);

}  // namespace hdpo::cuda
