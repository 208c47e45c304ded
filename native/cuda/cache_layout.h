// Where the paged cache [blocks, 2, K, kvBlockTokens, E] has a token's key and value.
#pragma once

#include "cuda/cached_attention.h"
#include "cuda/launch.h"
#include "ops/backend.h"

namespace hdpo::cuda {

constexpr int kBlockTokens = static_cast<int>(kvBlockTokens);

// Of the first element of the key of a row's token and head.
__device__ inline int64_t keyPlace(const CachedRows& rows, const CachedHeads& shape, int64_t row,
                                   int64_t token, int64_t kvHead) {
  const int64_t table = rows.tableOf ? rows.tableOf[row] : row;
  const int64_t block = rows.blockTables[table * rows.tableStride + token / kBlockTokens];
  return ((block * 2 * shape.kvHeads + kvHead) * kBlockTokens + token % kBlockTokens) * shape.headDim;
}
// The value of the same token and head lies that much further.
__device__ inline int64_t valuesBehindKeys(const CachedHeads& shape) {
  return shape.kvHeads * kBlockTokens * shape.headDim;
}

}  // namespace hdpo::cuda
