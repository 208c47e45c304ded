// What the formats of packed products share. Each format (packed_matmul.cpp: float32, packed_bfloat16.cpp,
// packed_int8.cpp) stores panels of outputs one after the other and multiplies a tile of a few rows by one
// panel in registers, over the whole of P: an output's value does not depend on the number of rows, on the
// tile it fell in or on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor.h"
#include "cpu/parallel.h"
#include "ops/backend.h"

namespace hdpo {

// Rows of a tile. Registers: kTileRows * kVectorsPerBlock sums, as many weights of one step, one broadcast
// value.
constexpr int64_t kTileRows = 6;

inline int64_t divideUp(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// Calls tile(row, tileRows, panel) for share `thread` of `threads` of all tiles, panel by panel: a panel is
// fetched once and then used from cache. Rows are spread evenly over the tiles of a panel, so that none is
// left with a single row.
template <class Tile>
void forShareOfTiles(int64_t rows, int64_t panels, int64_t thread, int64_t threads, const Tile& tile) {
  const int64_t tiles = divideUp(rows, kTileRows), end = panels * tiles * (thread + 1) / threads;
  for (int64_t unit = panels * tiles * thread / threads; unit < end; ++unit) {
    const int64_t panel = unit / tiles, index = unit % tiles;
    const int64_t row = rows * index / tiles, rowEnd = rows * (index + 1) / tiles;
    tile(row, rowEnd - row, panel);
  }
}

// work.run<n>(arguments...) with n = tileRows, a constant to the compiler.
template <class Work, class... Arguments>
void withTileRows(int64_t tileRows, const Work& work, Arguments... arguments) {
  switch (tileRows) {
    case 1:
      return work.template run<1>(arguments...);
    case 2:
      return work.template run<2>(arguments...);
    case 3:
      return work.template run<3>(arguments...);
    case 4:
      return work.template run<4>(arguments...);
    case 5:
      return work.template run<5>(arguments...);
    default:
      return work.template run<6>(arguments...);
  }
}

// packed_bfloat16.cpp. `operands` is memory for x, of the given size.
size_t packedBFloat16Bytes(int64_t outputs, int64_t inputs);
void packBFloat16(const PackedWeight& packed, const Tensor& weight);
size_t bfloat16OperandBytes(int64_t rows, int64_t inputs);
void multiplyBFloat16(const Tensor& out, const Tensor& x, const PackedWeight& weight, void* operands);

// packed_int8.cpp, likewise.
size_t packedInt8Bytes(int64_t outputs, int64_t inputs);
void packInt8(const PackedWeight& packed, const Tensor& weight);
size_t int8OperandBytes(int64_t rows, int64_t inputs);
void multiplyInt8(const Tensor& out, const Tensor& x, const PackedWeight& weight, void* operands);

}  // namespace hdpo
