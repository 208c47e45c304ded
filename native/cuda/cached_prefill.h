// Prefill: attention of a sequence's new tokens, tile by tile, to the whole sequence in the paged cache.
#pragma once

#include "cuda/cached_attention.h"

namespace hdpo::cuda {

// Whether tiles of rows have a kernel: headDim must be at most 128 and the cache of the rows' type.
bool supportsPrefill(const AttentionShape& shape, bool sameType);

// Writes only those rows of out [R, H * E] that are in rows.tiles. T: float or BFloat16, as in attention.h.
template <typename T>
void cachedPrefill(Stream stream, T* out, const T* cache, const T* qkv, const CachedRows& rows,
                   const AttentionShape& shape);

}  // namespace hdpo::cuda
