// Attention of single rows over the paged cache, for generation. Cache [blocks, 2, K, kvBlockTokens, E]:
// keys, then values. T: float or BFloat16 for qkv and out; C: the same for the cache. A row's result depends
// on nothing but the row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// Rows [firstRow, firstRow + rows) of a step: neighbouring tokens of one sequence, from a position on.
struct PrefillTile {
  int32_t firstRow, firstPosition, rows;
};
constexpr int32_t kPrefillRows = 64;  // rows per tile, at most

// The rows of a step, in device memory. Row r has its block numbers at blockTables + tableOf[r] * tableStride
// (r * tableStride where tableOf is null) and `lengths[r]` cached tokens, its own included. A row of length 0
// is padding: nothing of it is read or written.
struct CachedRows {
  int64_t rows = 0;
  const int32_t* blockTables = nullptr;
  int64_t tableStride = 0;
  const int32_t* lengths = nullptr;
  int64_t longest = 0;  // at least the largest length
  const int32_t* tableOf = nullptr;
  // The rows that are attended to in tiles (cached_prefill.h), and the numbers of all others. Without tiles
  // all rows are attended to one by one.
  const PrefillTile* tiles = nullptr;
  int64_t tileCount = 0;
  const int32_t* singles = nullptr;
  int64_t singleCount = 0, longestSingle = 0;
};

// Tokens that one block of a grid takes: `longest` in these stretches decides how many blocks are launched.
constexpr int64_t kCachedStretch = 256;

// ERR_NOT_IMPLEMENTED where there is no kernel: beyond a headDim of 256 or 16 query heads per key head.
void requireCachedHeads(const AttentionShape& shape);

template <typename T, typename C>
void writeCache(Stream stream, C* cache, const T* qkv, const CachedRows& rows, const AttentionShape& shape);

// Memory for the sums of stretches at a time. Rows that do not fit (one row always does) come in a launch of
// their own. This is enough for tens of thousands of blocks.
constexpr size_t kCachedAttentionBytes = size_t{64} << 20;

// Takes the same limit as cachedAttention.
size_t cachedAttentionWorkspaceBytes(const CachedRows& rows, const AttentionShape& shape,
                                     size_t limit = kCachedAttentionBytes);
// Attends to rows one by one; where there are tiles, only to the single rows.
template <typename T, typename C>
void cachedAttention(Stream stream, T* out, const C* cache, const T* qkv, const CachedRows& rows,
                     const AttentionShape& shape, void* workspace, size_t limit = kCachedAttentionBytes);

}  // namespace hdpo::cuda
