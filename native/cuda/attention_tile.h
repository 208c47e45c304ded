// What blocks of attention on the tensor cores are made of: products of tiles in shared memory, and the walk
// of a tile of queries over keys and values with the online softmax. attention.cu uses it where a sequence's
// rows lie side by side, cached_prefill.cu where its keys and values are in the paged cache.
#pragma once

#include "cuda/tensor_core.h"

namespace hdpo::cuda {

constexpr int kAttentionWarps = 4, kAttentionThreads = kAttentionWarps * kWarp;
constexpr int kTileRows = kAttentionWarps * 16;  // a warp has 16 rows of its block's tile
// Keys of a tile that a forward block walks over. Float operands take three times the registers, and with
// wide heads more shared memory than the 99 KiB that a block has on GPUs for desktops, so float has smaller
// tiles.
template <typename T, int width>
constexpr int kForwardKeys = sizeof(T) == 2 ? 64 : (width <= 64 ? 32 : 16);
constexpr float kLog2E = 1.44269504088896341f;

// scores[n] = rows of `left` times rows of `right`: the warp's 16 rows by `columns`.
template <typename T, int width, int columns>
__device__ inline void scoreProducts(float (&scores)[columns / 8][4], const T* left, const T* right) {
  constexpr int kStride = width + kTilePad;
#pragma unroll
  for (int n = 0; n < columns / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n][i] = 0;
  }
#pragma unroll
  for (int k = 0; k < width; k += 16) {
    FragmentA<T> a;
    loadA(a, left + k, kStride);
#pragma unroll
    for (int n = 0; n < columns / 8; n += 2) {
      FragmentB<T> b[2];
      loadB(b, right + n * 8 * kStride + k, kStride);
      multiplyAdd(scores[n], a, b[0]);
      multiplyAdd(scores[n + 1], a, b[1]);
    }
  }
}

// sums [16, width] += weights [16, rows] * right [rows, width].
template <typename T, int width, int rows>
__device__ inline void addWeighted(float (&sums)[width / 8][4], const float (&weights)[rows / 8][4],
                                   const T* right) {
  constexpr int kStride = width + kTilePad;
#pragma unroll
  for (int k = 0; k < rows; k += 16) {
    FragmentA<T> a;
    asA(a, weights[k / 8], weights[k / 8 + 1]);
#pragma unroll
    for (int n = 0; n < width / 8; n += 2) {
      FragmentB<T> b[2];
      loadTransposedB(b, right + k * kStride + n * 8, kStride);
      multiplyAdd(sums[n], a, b[0]);
      multiplyAdd(sums[n + 1], a, b[1]);
    }
  }
}

// Writes the rows of a warp's accumulator, times `factors` (for rows g and g + 8), to memory. Columns beyond
// `columns` are dropped.
template <typename T, int width>
__device__ inline void storeRows(T* target, int64_t rowStride, const float (&sums)[width / 8][4],
                                 const float (&factors)[2], int firstRow, int validRows, int columns,
                                 bool packed) {
  const int g = laneIndex() / 4, t = laneIndex() % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = firstRow + g + 8 * half;
    if (row >= validRows) continue;
#pragma unroll
    for (int n = 0; n < width / 8; ++n) {
      const int column = 8 * n + 2 * t;
      const float low = sums[n][2 * half] * factors[half], high = sums[n][2 * half + 1] * factors[half];
      T* place = target + row * rowStride + column;
      if (packed && column < columns) {
        if constexpr (sizeof(T) == 2) {
          *reinterpret_cast<unsigned*>(place) = packPair(low, high);
        } else {
          *reinterpret_cast<float2*>(place) = make_float2(low, high);
        }
      } else {
        if (column < columns) place[0] = fromFloat<T>(low);
        if (column + 1 < columns) place[1] = fromFloat<T>(high);
      }
    }
  }
}

__device__ inline float quadMaximum(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}
__device__ inline float quadSum(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

template <typename T, int width>
constexpr size_t tileBytes(int rows) {
  return static_cast<size_t>(rows) * (width + kTilePad) * sizeof(T);
}

template <typename T, int width>
constexpr size_t forwardSharedBytes() {
  return tileBytes<T, width>(kTileRows) + 4 * tileBytes<T, width>(kForwardKeys<T, width>);
}

// What a warp's 16 rows have accumulated: sums over values [16, width], weighted by 2^(scaled score -
// largest), and for rows g and g + 8 the largest score and this lane's part of the total weight.
template <int width>
struct AttendedRows {
  static constexpr float kNone = -1e30f;  // finite, so that no infinities are subtracted
  float sums[width / 8][4] = {}, largest[2] = {kNone, kNone}, totals[2] = {};
};

// Walks the warp's queries (rows of queryTile, from position firstQuery of their sequence on) over `walk`
// tiles of keys. copyKeys(step, target) begins to copy a tile's keys and behind them its values,
// [2][kForwardKeys][width + kTilePad]; this copy and that of the queries before it arrive together. keyTiles
// has room for two such tiles. scale: of scores, in powers of two.
template <typename T, int width, typename CopyKeys>
__device__ inline void walkKeys(AttendedRows<width>& rows, const T* queryTile, T* keyTiles, int firstQuery,
                                int walk, float scale, const CopyKeys& copyKeys) {
  constexpr int kKeys = kForwardKeys<T, width>, kStride = width + kTilePad, kTile = 2 * kKeys * kStride;
  const int g = laneIndex() / 4, t = laneIndex() % 4;
  copyKeys(0, keyTiles);
  commitCopies();
  for (int step = 0; step < walk; ++step) {
    if (step + 1 < walk) copyKeys(step + 1, keyTiles + (step + 1) % 2 * kTile);
    commitCopies();
    waitForCopies<1>();
    __syncthreads();
    const T* keyTile = keyTiles + step % 2 * kTile;
    float scores[kKeys / 8][4];
    scoreProducts<T, width, kKeys>(scores, queryTile, keyTile);
    const int firstKey = step * kKeys;
    if (firstKey + kKeys - 1 > firstQuery) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = firstKey + 8 * n + 2 * t + i % 2, query = firstQuery + g + i / 2 * 8;
          if (key > query) scores[n][i] = rows.kNone;
        }
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = rows.largest[half];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
        top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      top = quadMaximum(top);
      const float correction = exp2f((rows.largest[half] - top) * scale), offset = top * scale;
      rows.largest[half] = top;
      rows.totals[half] *= correction;
#pragma unroll
      for (int n = 0; n < width / 8; ++n) {
        rows.sums[n][2 * half] *= correction;
        rows.sums[n][2 * half + 1] *= correction;
      }
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = exp2f(scores[n][i] * scale - offset);
          rows.totals[half] += scores[n][i];
        }
      }
    }
    addWeighted<T, width, kKeys>(rows.sums, scores, keyTile + kKeys * kStride);
    __syncthreads();  // the next copy goes where this tile was
  }
  waitForCopies<0>();
#pragma unroll
  for (int half = 0; half < 2; ++half) rows.totals[half] = quadSum(rows.totals[half]);
}

}  // namespace hdpo::cuda
