// native/cpu/rms_norm.cpp has the shapes and equations. T: float or BFloat16, for what leaves the norm and
// its gradient; the residual stream and the rest are float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

// inverseRms may be null.
template <typename T>
void rmsNorm(Stream stream, T* y, float* inverseRms, const float* x, const float* weight, int64_t rows,
             int64_t columns, float epsilon);

// x += added, then y = the norm of x.
template <typename T>
void addThenRmsNorm(Stream stream, T* y, float* x, const float* added, const float* weight, int64_t rows,
                    int64_t columns, float epsilon);

// gradX is overwritten or, with accumulate, added to; gradWeight is added to, or null. Sums of gradWeight are
// taken in a fixed order.
size_t rmsNormBackwardWorkspaceBytes(int64_t rows, int64_t columns);
template <typename T>
void rmsNormBackward(Stream stream, float* gradX, bool accumulate, float* gradWeight, const T* gradY,
                     const float* x, const float* weight, const float* inverseRms, int64_t rows,
                     int64_t columns, void* workspace);

}  // namespace hdpo::cuda
