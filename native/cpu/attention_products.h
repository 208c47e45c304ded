// The register-blocked products of attention. A tile holds up to kTileRows query rows as lanes: transposed
// operands are [E][kTileRows], scores [keys][kTileRows]. Keys and values are rows of `stride` floats, so a
// score is a broadcast of one of the key's elements times lanes of queries, and no product ever adds across
// lanes.
#pragma once

#include <algorithm>

#include "cpu/vector.h"

namespace hdpo {

constexpr int kTileVectors = kVectorsPerBlock;
constexpr int64_t kTileRows = kTileVectors * kLanes;
constexpr int64_t kKeyBlock = 64;  // keys whose scores are in memory at a time
constexpr int64_t kKeyRows = 4;    // keys of a register block; buffers of keys have as many rows to spare
static_assert(kKeyBlock % kKeyRows == 0);

// How many keys of a block each vector of a tile sees: all its lanes see keys [0, full[v]), some see keys
// [full[v], any[v]). Both grow with v.
struct Visibility {
  int64_t full[kTileVectors], any[kTileVectors];
};

// scores[key][lanes of Vectors] = sum over e of keys[key][e] * queries[e][lanes], for kKeyRows keys.
template <int Vectors>
[[gnu::noinline]] void scoreBlock(float* scores, const float* keys, int64_t stride, const float* queries,
                                  int64_t headDim) {
  Vector sums[kKeyRows][Vectors] = {};
  for (int64_t e = 0; e < headDim; ++e) {
    Vector query[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      query[v] = load(queries + e * kTileRows + v * kLanes);
      keepInRegister(query[v]);
    }
#pragma GCC unroll 4
    for (int key = 0; key < kKeyRows; ++key) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[key][v] += query[v] * keys[key * stride + e];
    }
  }
#pragma GCC unroll 4
  for (int key = 0; key < kKeyRows; ++key) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(scores + key * kTileRows + v * kLanes, sums[key][v]);
  }
}

// Computes the scores of `count` keys (rounded up to whole register blocks) against the vectors [0, vectors)
// of a tile. Vectors that see none of a register block's keys are left out.
inline void scoreKeys(float* scores, const float* keys, int64_t stride, const float* queries, int64_t headDim,
                      int64_t count, int vectors, const Visibility& visibility) {
  int first = 0;
  for (int64_t key = 0; key < count; key += kKeyRows) {
    while (visibility.any[first] <= key) ++first;  // the last vector sees all `count` keys
    float* block = scores + key * kTileRows + first * kLanes;
    const float* rows = keys + key * stride;
    const float* lanes = queries + first * kLanes;
    withConstant<kTileVectors>(vectors - first,
                               [&](auto count) { scoreBlock<count>(block, rows, stride, lanes, headDim); });
  }
}

// out[e][lanes] += sum over keys of weights[key][lanes] * values[key][e], for Rows elements e. A vector adds
// the keys that any of its lanes sees.
template <int Rows, int Vectors>
[[gnu::noinline]] void weightedBlock(float* out, const float* weights, const float* values, int64_t stride,
                                     const Visibility& visibility) {
  Vector sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int e = 0; e < Rows; ++e) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[e][v] = load(out + e * kTileRows + v * kLanes);
  }
  int64_t key = 0;
#pragma GCC unroll 4
  for (int first = 0; first < Vectors; ++first) {
    for (; key < visibility.any[first]; ++key) {
#pragma GCC unroll 4
      for (int v = first; v < Vectors; ++v) {
        Vector weight = load(weights + key * kTileRows + v * kLanes);
        keepInRegister(weight);
#pragma GCC unroll 4
        for (int e = 0; e < Rows; ++e) sums[e][v] += weight * values[key * stride + e];
      }
    }
  }
#pragma GCC unroll 4
  for (int e = 0; e < Rows; ++e) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(out + e * kTileRows + v * kLanes, sums[e][v]);
  }
}

template <int Vectors>
inline void weightedElements(float* out, const float* weights, const float* values, int64_t stride,
                             int64_t headDim, const Visibility& visibility) {
  int64_t e = 0;
  for (; e + 4 <= headDim; e += 4) {
    weightedBlock<4, Vectors>(out + e * kTileRows, weights, values + e, stride, visibility);
  }
  if (e < headDim) weightedBlock<2, Vectors>(out + e * kTileRows, weights, values + e, stride, visibility);
}

// out [E][kTileRows] += weights [keys][kTileRows] applied to values [keys][E].
inline void addWeightedValues(float* out, const float* weights, const float* values, int64_t stride,
                              int64_t headDim, int vectors, const Visibility& visibility) {
  withConstant<kTileVectors>(vectors, [&](auto count) {
    weightedElements<count>(out, weights, values, stride, headDim, visibility);
  });
}

// out[key][Vectors of e] += sum over the rows [begin, end) of the tile of weights[key][row] * rows[row][e],
// for kKeyRows keys.
template <int Vectors>
[[gnu::noinline]] void transposedBlock(float* out, const float* weights, const float* rows, int64_t stride,
                                       int64_t begin, int64_t end) {
  Vector sums[kKeyRows][Vectors];
#pragma GCC unroll 4
  for (int key = 0; key < kKeyRows; ++key) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[key][v] = load(out + key * stride + v * kLanes);
  }
  for (int64_t row = begin; row < end; ++row) {
    Vector lanes[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      lanes[v] = load(rows + row * stride + v * kLanes);
      keepInRegister(lanes[v]);
    }
#pragma GCC unroll 4
    for (int key = 0; key < kKeyRows; ++key) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[key][v] += lanes[v] * weights[key * kTileRows + row];
    }
  }
#pragma GCC unroll 4
  for (int key = 0; key < kKeyRows; ++key) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(out + key * stride + v * kLanes, sums[key][v]);
  }
}

// out [kKeyRows][stride] += weights^T applied to rows [kTileRows][stride]; stride is a multiple of kLanes.
inline void addTransposed(float* out, const float* weights, const float* rows, int64_t stride, int64_t begin,
                          int64_t end) {
  constexpr int64_t kWidest = kVectorsPerBlock * kLanes;
  for (int64_t e = 0; e < stride; e += kWidest) {
    withConstant<kVectorsPerBlock>(std::min(kWidest, stride - e) / kLanes, [&](auto count) {
      transposedBlock<count>(out + e, weights, rows + e, stride, begin, end);
    });
  }
}

}  // namespace hdpo
