// The passes of an optimiser step; equations: native/cpu/optimizer.cpp. float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// *result (device memory) = the sum in float64, taken in an order that `count` alone decides.
size_t sumOfSquaresWorkspaceBytes(int64_t count);
void sumOfSquares(Stream stream, double* result, const float* values, int64_t count, void* workspace);

// working may be null: the bfloat16 copy that the model reads, written in the same pass.
void adamW(Stream stream, float* weight, BFloat16* working, const float* gradient, float* momentum,
           float* variance, int64_t count, const AdamWOptions& options);

}  // namespace hdpo::cuda
