// How a block of the cache holds the keys or the values of one head and sixteen tokens, and how vectors come
// out of it.
//
// float32: keys [E][16 tokens], so that vectors hold an element of every token and no sum crosses lanes;
// values [16 tokens][E].
//
// bfloat16: the same with two neighbours side by side, keys [E / 2][16 tokens][2], values [8][E][2]. A load
// makes either neighbour's vector with a shift or a mask, and reads half the memory.
#pragma once

#include <cstdint>

#include "core/float_formats.h"
#include "cpu/vector.h"
#include "ops/backend.h"

namespace hdpo {

// Vectors that hold one value per token of a block.
constexpr int kBlockVectors = static_cast<int>(kvBlockTokens / kLanes);
static_assert(kvBlockTokens % kLanes == 0);

// C: float, or uint16_t for the bits of a bfloat16.
template <typename C>
constexpr int64_t kNeighbours = sizeof(C) == 2 ? 2 : 1;

// Where element e of a token's key lies.
template <typename C>
int64_t keyIndex(int64_t e, int64_t token) {
  constexpr int64_t together = kNeighbours<C>;
  return e / together * together * kvBlockTokens + token * together + e % together;
}
// Where element e of a token's value lies.
template <typename C>
int64_t valueIndex(int64_t token, int64_t e, int64_t headDim) {
  constexpr int64_t together = kNeighbours<C>;
  return token / together * together * headDim + e * together + token % together;
}

inline float fromCached(float value) { return value; }
inline float fromCached(uint16_t value) { return fromBFloat16(value); }
inline void toCached(float& cached, float value) { cached = value; }
inline void toCached(uint16_t& cached, float value) { cached = toBFloat16(value); }

// Loads neighbour n of a vector of pairs: element e + n of keys, token t + n of values. Loading the pairs
// again for the second neighbour is cheaper than the registers that both would take.
inline Vector loadNeighbour(const float* from, int) { return load(from); }
inline Vector loadNeighbour(const uint16_t* from, int n) {
  const VectorInt bits = loadBits(from);
  return reinterpret_cast<Vector>(n == 0 ? bits << 16 : bits & -0x10000);
}

// Writes one token's keys of all heads, [K, E] from `key` on, and its values, which follow them, to the block
// [2, K, E * 16] that holds the token. E is even: two neighbours always belong to one head.
template <typename C>
void writeToBlock(C* block, const float* key, int64_t token, int64_t kvHeads, int64_t headDim) {
  // The keys of all heads are written as one: head k's dimension e is element k * E + e.
  const int64_t width = kvHeads * headDim;
  for (int64_t i = 0; i < width; ++i) toCached(block[keyIndex<C>(i, token)], key[i]);
  for (int64_t k = 0; k < kvHeads; ++k) {
    const float* value = key + width + k * headDim;
    C* values = block + (kvHeads + k) * headDim * kvBlockTokens;
    for (int64_t e = 0; e < headDim; ++e) toCached(values[valueIndex<C>(token, e, headDim)], value[e]);
  }
}

}  // namespace hdpo
