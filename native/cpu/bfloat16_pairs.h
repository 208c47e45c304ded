// Vectors of pairs of bfloat16 inputs, which AVX512-BF16 multiplies and adds up in one instruction. Without
// those instructions the two halves are widened and multiplied in float32, and the sums round differently.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <cstring>

#include "cpu/bfloat16.h"
#include "cpu/vector.h"

namespace hdpo {

// A product's tile keeps kPairTileRows x kPairVectors sums in registers, beside kPairVectors vectors of
// weights and a broadcast value. Where weights come from memory, one pass over them serves up to eight rows.
constexpr int kPairVectors = kVectorRegisters >= 32 ? 3 : 2;
#if defined(__AVX512BF16__)
constexpr int64_t kPairTileRows = 8;
#else
constexpr int64_t kPairTileRows = kVectorRegisters >= 32 ? 6 : 5;
#endif
constexpr int64_t kPairPanel = kLanes * kPairVectors;

// x as addPairProducts takes it: rows of pairs, rounded to bfloat16.
#if defined(__AVX512BF16__)

typedef uint16_t PairElement;
inline void roundElements(PairElement* to, const float* from, int64_t count) { narrow(to, from, count); }

// Two inputs side by side in every lane.
inline VectorInt broadcastPair(const uint16_t* from) {
  int32_t pair;
  std::memcpy(&pair, from, sizeof(pair));
  VectorInt value = VectorInt{} + pair;
  keepInRegister(value);
  return value;
}

// Adds the products of pair p to sums[r][v]. The low half of a lane holds w_0 in the panel and x_0 in `pair`.
template <int tileRows>
inline __attribute__((always_inline)) void addPair(Vector (&sums)[tileRows][kPairVectors],
                                                   const PairElement* x, const uint16_t* panel, int64_t p,
                                                   int64_t pairs) {
  VectorInt weights[kPairVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kPairVectors; ++v) weights[v] = loadBits(panel + (p * kPairPanel + v * kLanes) * 2);
#pragma GCC unroll 8
  for (int r = 0; r < tileRows; ++r) {
    const VectorInt pair = broadcastPair(x + (r * pairs + p) * 2);
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) {
      sums[r][v] = reinterpret_cast<Vector>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sums[r][v]),
                                                             reinterpret_cast<__m512bh>(pair),
                                                             reinterpret_cast<__m512bh>(weights[v])));
    }
  }
}

#else

// x stays float32 here: broadcasting an element from memory takes no register beside the result.
typedef float PairElement;
inline void roundElements(PairElement* to, const float* from, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = fromBFloat16(toBFloat16(from[i]));
}

// Adds x_1 * w_1 and then x_0 * w_0 of pair p to sums[r][v]. It takes one half of the weights at a time,
// because both would not fit in registers beside the sums.
template <int tileRows>
inline __attribute__((always_inline)) void addPair(Vector (&sums)[tileRows][kPairVectors],
                                                   const PairElement* x, const uint16_t* panel, int64_t p,
                                                   int64_t pairs) {
#pragma GCC unroll 2
  for (int half = 1; half >= 0; --half) {
    Vector weights[kPairVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) {
      const VectorInt bits = loadBits(panel + (p * kPairPanel + v * kLanes) * 2);
      weights[v] = reinterpret_cast<Vector>(half == 1 ? bits & -0x10000 : bits << 16);
      keepInRegister(weights[v]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < tileRows; ++r) {
      const float value = x[(r * pairs + p) * 2 + half];
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) sums[r][v] += value * weights[v];
    }
  }
}

#endif

// sums[r][v] += x[r] . panel over `pairs` pairs of inputs: x [tileRows, pairs, 2], panel
// [pairs][kPairPanel][2]. fetchAhead: the panel comes from memory, and is fetched some pairs ahead.
template <int tileRows>
inline __attribute__((always_inline)) void addPairProducts(Vector (&sums)[tileRows][kPairVectors],
                                                           const PairElement* x, const uint16_t* panel,
                                                           int64_t pairs, bool fetchAhead) {
  constexpr int64_t kPrefetch = 48;  // pairs
  for (int64_t p = 0; p < pairs; ++p) {
    if (fetchAhead) {
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) {
        __builtin_prefetch(panel + ((p + kPrefetch) * kPairPanel + v * kLanes) * 2);
      }
    }
    addPair<tileRows>(sums, x, panel, p, pairs);
  }
}

}  // namespace hdpo
