// Packed causal attention on the tensor cores; native/cpu/attention.cpp has the shapes and equations.
// BFloat16 runs at their full rate. Each float is split into three bfloat16, which runs at a sixth of that
// rate with float32's precision. headDim is at most 128.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

struct PackedAttentionShape : AttentionShape {
  int64_t tokens = 0;     // of all sequences
  int64_t sequences = 0;  // laid end to end
};

bool supportsAttention(const AttentionShape& shape);

// qkv [N, (H + 2K) * E], out [N, H * E], logSumExp [N, H] float32; offsets [S + 1] in device memory.
template <typename T>
void attention(Stream stream, T* out, float* logSumExp, const T* qkv, const int32_t* offsets,
               const PackedAttentionShape& shape);

// gradQkv is overwritten. Every sum is taken in a fixed order.
size_t attentionBackwardWorkspaceBytes(const PackedAttentionShape& shape);
template <typename T>
void attentionBackward(Stream stream, T* gradQkv, const T* gradOut, const T* qkv, const T* out,
                       const float* logSumExp, const int32_t* offsets, const PackedAttentionShape& shape,
                       void* workspace);

}  // namespace hdpo::cuda
