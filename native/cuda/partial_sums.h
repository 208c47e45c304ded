// Sums over rows for gradients of weights: blocks of rows give partial sums, which are added in order.
#pragma once

#include "cuda/launch.h"

namespace hdpo::cuda {

// sums [columns] += the column sums of partials [blocks, columns].
void addPartialSums(Stream stream, float* sums, const float* partials, int64_t blocks, int64_t columns);

}  // namespace hdpo::cuda
