// Shapes and equations: native/cpu/swiglu.cpp; `shape` is that of out. T: float or BFloat16.
#pragma once

#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

template <typename T>
void swiglu(Stream stream, T* out, const T* gateUp, const MatrixShape& shape);
template <typename T>
void swigluBackward(Stream stream, T* gradGateUp, const T* gradOut, const T* gateUp,
                    const MatrixShape& shape);

}  // namespace hdpo::cuda
