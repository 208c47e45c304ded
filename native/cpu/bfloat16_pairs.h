// Vectors of pairs of bfloat16 inputs, which AVX512-BF16 multiplies and adds up in one instruction. Without
// those instructions the two halves are widened and multiplied in float32; the rounding of the sums differs
// then.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <cstring>

#include "core/float_formats.h"
#include "cpu/vector.h"

namespace hdpo {

// Rows x vectors of sums of a product's tile in registers, beside as many vectors of weights and a broadcast
// pair. Where weights come from memory, eight rows are what one pass over them serves. Without AVX-512 a
// Vector is two registers.
#if defined(__AVX512BF16__)
constexpr int kPairVectors = 3;
constexpr int64_t kPairTileRows = 8;
#else
constexpr int kPairVectors = kVectorsPerBlock > 1 ? 3 : 1;
constexpr int64_t kPairTileRows = 6;              // both halves of pairs and weights take registers as well
#endif

inline VectorInt loadBits(const uint16_t* from) {
  VectorInt value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Two inputs side by side in every lane.
inline VectorInt broadcastPair(const uint16_t* from) {
  int32_t pair;
  std::memcpy(&pair, from, sizeof(pair));
  VectorInt value = VectorInt{} + pair;
  keepInRegister(value);
  return value;
}

// sum + x_0 * w_0 + x_1 * w_1 lane by lane: a lane of `weights` holds w_0 in its low half, one of `pair` x_0.
inline Vector addProducts(Vector sum, VectorInt weights, VectorInt pair) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Vector>(_mm512_dpbf16_ps(
      reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(pair), reinterpret_cast<__m512bh>(weights)));
#else
  const VectorInt upper = VectorInt{} - 0x10000;  // 0xFFFF0000
  return sum + reinterpret_cast<Vector>(pair & upper) * reinterpret_cast<Vector>(weights & upper) +
         reinterpret_cast<Vector>(pair << 16) * reinterpret_cast<Vector>(weights << 16);
#endif
}

constexpr int64_t kPairPanel = kLanes * kPairVectors;

// sums[r][v] += x[r] . panel over `pairs` pairs of inputs: x [tileRows, pairs, 2], panel
// [pairs][kPairPanel][2]. fetchAhead: the panel comes from memory, and is fetched some pairs ahead.
template <int tileRows>
inline __attribute__((always_inline)) void addPairProducts(Vector (&sums)[tileRows][kPairVectors],
                                                           const uint16_t* x, const uint16_t* panel,
                                                           int64_t pairs, bool fetchAhead) {
  constexpr int64_t kPrefetch = 48;  // pairs
  for (int64_t p = 0; p < pairs; ++p) {
    VectorInt weights[kPairVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) weights[v] = loadBits(panel + (p * kPairPanel + v * kLanes) * 2);
    if (fetchAhead) {
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) {
        __builtin_prefetch(panel + ((p + kPrefetch) * kPairPanel + v * kLanes) * 2);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < tileRows; ++r) {
      const VectorInt pair = broadcastPair(x + (r * pairs + p) * 2);
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) sums[r][v] = addProducts(sums[r][v], weights[v], pair);
    }
  }
}

}  // namespace hdpo
