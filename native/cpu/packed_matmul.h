// What the formats of packed products share. Each format (packed_matmul.cpp: float32, packed_bfloat16.cpp,
// packed_int8.cpp) stores panels of outputs one after the other and multiplies a tile of a few rows by one
// panel in registers, over the whole of P: an output's value does not depend on the number of rows, on the
// tile it fell in or on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor.h"
#include "cpu/parallel.h"
#include "cpu/vector.h"
#include "ops/backend.h"

namespace hdpo {

inline int64_t divideUp(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// Calls tile(row, tileRows, panel) for share `thread` of `threads` of all tiles, panel by panel: a panel is
// fetched once and then used from cache. Rows are spread evenly over a panel's tiles, so that no tile is left
// with a single row.
template <int64_t kMostRows, class Tile>
void forShareOfTiles(int64_t rows, int64_t panels, int64_t thread, int64_t threads, const Tile& tile) {
  const int64_t tiles = divideUp(rows, kMostRows), end = panels * tiles * (thread + 1) / threads;
  for (int64_t unit = panels * tiles * thread / threads; unit < end; ++unit) {
    const int64_t panel = unit / tiles, index = unit % tiles;
    const int64_t row = rows * index / tiles, rowEnd = rows * (index + 1) / tiles;
    tile(row, rowEnd - row, panel);
  }
}

// Stores the first `width` columns of a tile's sums to rows of `out` that are `stride` apart.
template <int tileRows, int vectors>
inline __attribute__((always_inline)) void storeTile(float* out, int64_t stride, int64_t width,
                                                     const Vector (&sums)[tileRows][vectors]) {
#pragma GCC unroll 8
  for (int r = 0; r < tileRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const int64_t lanes = std::min(kLanes, width - v * kLanes);
      if (lanes > 0) storePartial(out + r * stride + v * kLanes, sums[r][v], lanes);
    }
  }
}

// The bfloat16 format (packed_bfloat16.cpp). `operands` is memory for x, of bfloat16OperandBytes.
size_t packedBFloat16Bytes(const MatrixShape& weight);
void packBFloat16(const PackedWeight& packed, const Tensor& weight);
size_t bfloat16OperandBytes(const MatrixShape& x);
void multiplyBFloat16(const Tensor& out, const Tensor& x, const PackedWeight& weight, void* operands);

// The int8 format (packed_int8.cpp), likewise: `operands` has int8OperandBytes.
size_t packedInt8Bytes(const MatrixShape& weight);
void packInt8(const PackedWeight& packed, const Tensor& weight);
size_t int8OperandBytes(const MatrixShape& x);
void multiplyInt8(const Tensor& out, const Tensor& x, const PackedWeight& weight, void* operands);

}  // namespace hdpo
