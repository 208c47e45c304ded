// native/cpu/swiglu.cpp has the shapes and equations. T: float or BFloat16.
#pragma once

#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

template <typename T>
void swiglu(Stream stream, T* out, const T* gateUp, int64_t rows, int64_t width);
template <typename T>
void swigluBackward(Stream stream, T* gradGateUp, const T* gradOut, const T* gateUp, int64_t rows,
                    int64_t width);

}  // namespace hdpo::cuda
