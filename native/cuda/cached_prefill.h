// Attention of new tokens of a sequence, tile by tile, to all of the sequence in the paged cache: prefill.
#pragma once

#include "cuda/cached_attention.h"

namespace hdpo::cuda {

// Whether tiles of rows have a kernel: headDim at most 128, the cache of the rows' type.
bool supportsPrefill(const CachedHeads& shape, bool sameType);

// out [R, H * E] of the rows in rows.tiles alone. T: float or BFloat16, as in attention.h.
template <typename T>
void cachedPrefill(Stream stream, T* out, const T* cache, const T* qkv, const CachedRows& rows,
                   const CachedHeads& shape);

}  // namespace hdpo::cuda
