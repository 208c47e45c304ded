// native/cpu/rotary.cpp has the equations. T: float or BFloat16.
#pragma once

#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// Rotates in place the queries and keys of qkv [rows, (H + 2K) * E]. positions [rows] and inverseFrequencies
// [E / 2] in device memory; direction +1 or -1.
template <typename T>
void rotary(Stream stream, T* qkv, const int32_t* positions, const float* inverseFrequencies, int64_t rows,
            const AttentionShape& shape, int direction);

}  // namespace hdpo::cuda
