// Shapes and equations: native/cpu/rms_norm.cpp. T: float or BFloat16 for activations; the rest is float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

// inverseRms may be null.
template <typename T>
void rmsNorm(Stream stream, T* y, float* inverseRms, const T* x, const float* weight, int64_t rows,
             int64_t columns, float epsilon);

// gradX = or += (accumulate); gradWeight += or null. Sums of gradWeight are taken in a fixed order.
size_t rmsNormBackwardWorkspaceBytes(int64_t rows, int64_t columns);
template <typename T>
void rmsNormBackward(Stream stream, T* gradX, bool accumulate, float* gradWeight, const T* gradY, const T* x,
                     const float* weight, const float* inverseRms, int64_t rows, int64_t columns,
                     void* workspace);

}  // namespace hdpo::cuda
