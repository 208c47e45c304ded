// Where a token's key and value lie in the paged cache [blocks, 2, K, kvBlockTokens, E].
#pragma once

#include "cuda/cached_attention.h"
#include "cuda/launch.h"
#include "ops/backend.h"

namespace hdpo::cuda {

constexpr int kBlockTokens = static_cast<int>(kvBlockTokens);

// The index of the first element of a token's key, by row and head.
__device__ inline int64_t keyPlace(const CachedRows& rows, const AttentionShape& shape, int64_t row,
                                   int64_t token, int64_t kvHead) {
  const int64_t table = rows.tableOf ? rows.tableOf[row] : row;
  const int64_t block = rows.blockTables[table * rows.tableStride + token / kBlockTokens];
  return ((block * 2 * shape.kvHeads + kvHead) * kBlockTokens + token % kBlockTokens) * shape.headDim;
}
// How much further the value of the same token and head lies.
__device__ inline int64_t valuesBehindKeys(const AttentionShape& shape) {
  return shape.kvHeads * kBlockTokens * shape.headDim;
}

}  // namespace hdpo::cuda
