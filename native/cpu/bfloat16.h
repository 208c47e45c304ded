// Rows of values between float32 and bfloat16.
#pragma once

#include <cstdint>

#include "core/float_formats.h"

namespace hdpo {

inline void widen(float* __restrict to, const uint16_t* __restrict from, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = fromBFloat16(from[i]);
}

inline void narrow(uint16_t* __restrict to, const float* __restrict from, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = toBFloat16(from[i]);
}

}  // namespace hdpo
