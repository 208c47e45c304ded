// native/cpu/rotary.cpp has the equations. T: float or BFloat16.
#pragma once

#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

// Rotates in place the first `heads` heads of each row of qkv [rows, width]. positions [rows] and
// inverseFrequencies [headDim / 2] are in device memory; direction is +1 or -1.
template <typename T>
void rotary(Stream stream, T* qkv, const int32_t* positions, const float* inverseFrequencies, int64_t rows,
            int64_t width, int64_t heads, int64_t headDim, int direction);

}  // namespace hdpo::cuda
