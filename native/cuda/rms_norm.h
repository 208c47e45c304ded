// Shapes and equations: native/cpu/rms_norm.cpp; `shape` is that of x. T: float or BFloat16, the type of what
// leaves the norm and of its gradient; the residual stream and the rest are float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// inverseRms may be null.
template <typename T>
void rmsNorm(Stream stream, T* y, float* inverseRms, const float* x, const float* weight,
             const MatrixShape& shape, float epsilon);

// x += added, then y = the norm of x.
template <typename T>
void addThenRmsNorm(Stream stream, T* y, float* x, const float* added, const float* weight,
                    const MatrixShape& shape, float epsilon);

// gradX is overwritten or, with accumulate, added to; gradWeight is added to, or null. Sums of gradWeight are
// taken in a fixed order.
size_t rmsNormBackwardWorkspaceBytes(const MatrixShape& shape);
template <typename T>
void rmsNormBackward(Stream stream, float* gradX, bool accumulate, float* gradWeight, const T* gradY,
                     const float* x, const float* weight, const float* inverseRms, const MatrixShape& shape,
                     void* workspace);

}  // namespace hdpo::cuda
