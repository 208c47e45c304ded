// The passes of an optimiser step, in float32; native/cpu/optimizer.cpp has the equations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// Writes the float64 sum to *result (device memory), taken in an order that depends on `count` alone.
size_t sumOfSquaresWorkspaceBytes(int64_t count);
void sumOfSquares(Stream stream, double* result, const float* values, int64_t count, void* workspace);

// working is the bfloat16 copy that the model reads, written in the same pass. It may be null.
void adamW(Stream stream, float* weight, BFloat16* working, const float* gradient, float* momentum,
           float* variance, int64_t count, const AdamWOptions& options);

}  // namespace hdpo::cuda
