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

}  // namespace hdpo
