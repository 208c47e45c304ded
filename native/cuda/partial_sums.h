// Sums over rows, for gradients of weights: blocks of rows give partial sums, which are added in order.
#pragma once

#include "cuda/launch.h"

namespace hdpo::cuda {

// Adds to sums [columns] the sums over `blocks` of partials, whose rows are `stride` apart (0 means columns).
void addPartialSums(Stream stream, float* sums, const float* partials, int64_t blocks, int64_t columns,
                    int64_t stride = 0);

}  // namespace hdpo::cuda
