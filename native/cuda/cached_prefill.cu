// Prefill on the tensor cores. A block takes up to 64 neighbouring rows of one sequence and one head, and
// walks over the sequence's blocks of the cache as attention.cu walks over rows that lie side by side. Taking
// one row at a time (cached_attention.cu) would read every key again for every row.
#include <cmath>

#include "cuda/attention_tile.h"
#include "cuda/cache_layout.h"
#include "cuda/cached_prefill.h"

namespace hdpo::cuda {

namespace {

static_assert(kPrefillRows == kTileRows);

template <typename T>
struct Prefill {
  T* out;
  const T *cache, *qkv;
  CachedRows rows;
  AttentionShape shape;
  float scale;  // of scores, in powers of two
  bool packed;
};

// The grid is (tiles, heads).
template <typename T, int width>
__global__ void __launch_bounds__(kAttentionThreads, 2) attendTile(Prefill<T> given) {
  constexpr int kKeys = kForwardKeys<T, width>, kStride = width + kTilePad;
  const PrefillTile tile = given.rows.tiles[blockIdx.x];
  const auto heads = static_cast<int>(given.shape.heads), headDim = static_cast<int>(given.shape.headDim);
  const int head = static_cast<int>(blockIdx.y),
            kvHead = head / (heads / static_cast<int>(given.shape.kvHeads));
  const int visible = tile.firstPosition + tile.rows;
  const int64_t lastRow = tile.firstRow + tile.rows - 1;  // its block table has all that the tile sees
  const auto copyKeys = [&](int step, T* target) {
    const int first = step * kKeys;
    const auto keyAt = [&](int row) {
      return given.cache + keyPlace(given.rows, given.shape, lastRow, first + row, kvHead);
    };
    const auto valueAt = [&](int row) { return keyAt(row) + valuesBehindKeys(given.shape); };
    copyRowsToTile<T, kKeys, width, kAttentionThreads>(target, keyAt, visible - first, headDim, given.packed);
    copyRowsToTile<T, kKeys, width, kAttentionThreads>(target + kKeys * kStride, valueAt, visible - first,
                                                       headDim, given.packed);
  };
  T* queryTile = sharedMemory<T>();
  const int64_t rowStride = (given.shape.heads + 2 * given.shape.kvHeads) * given.shape.headDim;
  copyTile<T, kTileRows, width, kAttentionThreads>(
      queryTile, given.qkv + tile.firstRow * rowStride + int64_t{head} * headDim, rowStride, tile.rows,
      headDim, given.packed);
  const int warpRow = static_cast<int>(threadIdx.x) / kWarp * 16;
  AttendedRows<width> rows;
  walkKeys<T, width>(rows, queryTile + warpRow * kStride, queryTile + kTileRows * kStride,
                     tile.firstPosition + warpRow, (visible + kKeys - 1) / kKeys, given.scale, copyKeys);
  const float inverse[2] = {__fdividef(1.0f, rows.totals[0]), __fdividef(1.0f, rows.totals[1])};
  const int64_t outStride = given.shape.heads * given.shape.headDim;
  storeRows<T, width>(given.out + tile.firstRow * outStride + int64_t{head} * headDim, outStride, rows.sums,
                      inverse, warpRow, tile.rows, headDim, given.packed);
}

template <typename T, int width>
void launchTiles(Stream stream, const Prefill<T>& given) {
  launch(attendTile<T, width>,
         dim3(static_cast<unsigned>(given.rows.tileCount), static_cast<unsigned>(given.shape.heads)),
         kAttentionThreads, forwardSharedBytes<T, width>(), stream, given);
}

}  // namespace

bool supportsPrefill(const AttentionShape& shape, bool sameType) { return sameType && shape.headDim <= 128; }

template <typename T>
void cachedPrefill(Stream stream, T* out, const T* cache, const T* qkv, const CachedRows& rows,
                   const AttentionShape& shape) {
  const Prefill<T> given{out,
                         cache,
                         qkv,
                         rows,
                         shape,
                         static_cast<float>(kLog2E / std::sqrt(static_cast<double>(shape.headDim))),
                         inPacks<T>(shape.headDim, out, cache, qkv)};
  const auto run = shape.headDim <= 32   ? launchTiles<T, 32>
                   : shape.headDim <= 64 ? launchTiles<T, 64>
                                         : launchTiles<T, 128>;
  run(stream, given);
}

template void cachedPrefill(Stream, float*, const float*, const float*, const CachedRows&,
                            const AttentionShape&);
template void cachedPrefill(Stream, BFloat16*, const BFloat16*, const BFloat16*, const CachedRows&,
                            const AttentionShape&);

}  // namespace hdpo::cuda
