// Packed causal attention; shapes and equations: native/cpu/attention.cpp. BFloat16 runs on the tensor cores,
// float on the other units. headDim at most 256 (float), 16, 32, 64, 80, 96, 112, 128 (BFloat16):
// supportsAttention says.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

struct AttentionShape {
  int64_t tokens = 0, sequences = 0, heads = 0, kvHeads = 0, headDim = 0;
};

bool supportsAttention(const AttentionShape& shape, bool bfloat16);

// qkv [N, (H + 2K) * E], out [N, H * E], logSumExp [N, H] float32; offsets [S + 1] in device memory.
template <typename T>
void attention(Stream stream, T* out, float* logSumExp, const T* qkv, const int32_t* offsets,
               const AttentionShape& shape);

// gradQkv = . Every sum in a fixed order.
size_t attentionBackwardWorkspaceBytes(const AttentionShape& shape);
template <typename T>
void attentionBackward(Stream stream, T* gradQkv, const T* gradOut, const T* qkv, const T* out,
                       const float* logSumExp, const int32_t* offsets, const AttentionShape& shape,
                       void* workspace);

}  // namespace hdpo::cuda
