// What a decoding step does with its rows' heads between the projection that makes them and attention, in one
// launch; see Backend::cacheHeads. T: float or BFloat16 for qkv; C: the same for the cache.
#pragma once

#include "cuda/cached_attention.h"

namespace hdpo::cuda {

// All pointers are in device memory. bias, queryNorm and keyNorm may be null (the norms only together).
struct HeadPlacement {
  const float* bias = nullptr;                           // [(H + 2K) * E]
  const float *queryNorm = nullptr, *keyNorm = nullptr;  // [E]
  float epsilon = 0;
  const int32_t* positions = nullptr;         // [rows]
  const float* inverseFrequencies = nullptr;  // [E / 2]
};

// headDim is even and at most 256.
template <typename T, typename C>
void cacheHeads(Stream stream, C* cache, T* qkv, const HeadPlacement& placement, const CachedRows& rows,
                const AttentionShape& shape);

}  // namespace hdpo::cuda
