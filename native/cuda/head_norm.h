// native/cpu/head_norm.cpp has the shapes and equations. T: float or BFloat16 for activations; the rest is
// float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

struct HeadNormShape : AttentionShape {
  int64_t rows = 0;
};

// out may be qkv; inverseRms may be null.
template <typename T>
void headNorm(Stream stream, T* out, float* inverseRms, const T* qkv, const float* queryWeight,
              const float* keyWeight, const HeadNormShape& shape, float epsilon);

// gradQkv is changed in place; gradQueryWeight and gradKeyWeight are added to, or both null.
size_t headNormBackwardWorkspaceBytes(const HeadNormShape& shape);
template <typename T>
void headNormBackward(Stream stream, T* gradQkv, float* gradQueryWeight, float* gradKeyWeight, const T* qkv,
                      const float* queryWeight, const float* keyWeight, const float* inverseRms,
                      const HeadNormShape& shape, void* workspace);

}  // namespace hdpo::cuda
