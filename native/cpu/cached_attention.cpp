// Shapes: qkv [R, (H + 2K) * E], out [R, H * E], cache [blocks, 2, K, E * 16], float32 or bfloat16
// (cached_block.h says how a block holds them; the arithmetic is float32). Every row is computed on its own,
// in an order that only its length decides: its result does not depend on the other rows or on the number of
// threads.
#include <omp.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/cached_block.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace hdpo {

namespace {

constexpr int64_t kBlock = kvBlockTokens;

struct Shape : AttentionShape {
  int64_t headValues() const { return headDim * kBlock; }  // per head: its keys (or values) in a block
  int64_t blockValues() const { return 2 * kvHeads * headValues(); }
};

// Query heads that share one key/value head, for one row.
template <typename C>
struct Group {
  const C* cache;  // the first block, at this head's keys
  const int32_t* blocks;
  int64_t length;        // cached tokens
  int64_t blockValues;   // from a block to the next
  int64_t valuesOffset;  // from a head's keys to its values
  int64_t headDim;
  bool fetchValues;  // set for the first heads; for the others they are in cache
  const C* keys(int64_t index) const { return cache + blocks[index] * blockValues; }
  const C* values(int64_t index) const { return keys(index) + valuesOffset; }
};

// Heads that are computed together: each value that is loaded from the cache serves all of them.
constexpr int kMostHeads = kVectorRegisters >= 32 ? 4 : 2;

// scores[h][block * 16 + token] = query[h] . key for as many tokens as `vectors` hold, starting at block
// `first`.
template <int heads, int vectors, typename C>
[[gnu::noinline]] void scoreBlocks(float* scores, int64_t stride, const float* queries, const Group<C>& group,
                                   int64_t first) {
  static_assert(vectors % kBlockVectors == 0);
  constexpr int together = kNeighbours<C>;
  const C* keys[vectors];  // at a vector's first token
  for (int v = 0; v < vectors; ++v) {
    keys[v] = group.keys(first + v / kBlockVectors) + v % kBlockVectors * kLanes * together;
  }
  Vector sums[heads][vectors] = {};
  for (int64_t e = 0; e < group.headDim; e += together) {
    // The values of the block will be read next; they lie too far away for the processor to guess.
    if (group.fetchValues) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(keys[v] + e * kBlock + group.valuesOffset);
    }
#pragma GCC unroll 2
    for (int n = 0; n < together; ++n) {
      Vector key[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) key[v] = loadNeighbour(keys[v] + e * kBlock, n);
#pragma GCC unroll 4
      for (int h = 0; h < heads; ++h) {
        const float query = queries[h * group.headDim + e + n];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[h][v] += query * key[v];
      }
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(scores + h * stride + first * kBlock + v * kLanes, sums[h][v]);
  }
}

template <int heads, typename C>
void score(float* scores, int64_t stride, const float* queries, const Group<C>& group) {
  constexpr int64_t kTogether = 4 / kBlockVectors;  // blocks
  const int64_t blocks = (group.length + kBlock - 1) / kBlock;
  int64_t block = 0;
  for (; block + kTogether <= blocks; block += kTogether) {
    scoreBlocks<heads, 4>(scores, stride, queries, group, block);
  }
  for (; block < blocks; ++block) scoreBlocks<heads, kBlockVectors>(scores, stride, queries, group, block);
}

// scores -> exp(scale * (score - largest)) in place, 0 beyond the length; returns 1 / sum.
[[gnu::noinline]] float softmax(float* scores, int64_t length, float scale) {
  const int64_t padded = (length + kBlock - 1) / kBlock * kBlock;
  std::fill(scores + length, scores + padded, -std::numeric_limits<float>::infinity());
  Vector largestOfLane = load(scores);
  for (int64_t i = kLanes; i < padded; i += kLanes) largestOfLane = maximum(largestOfLane, load(scores + i));
  float lanes[kLanes];
  store(lanes, largestOfLane);
  const Vector largest = broadcast(*std::max_element(lanes, lanes + kLanes));
  Vector sums{};
  for (int64_t i = 0; i < padded; i += kLanes) {
    const Vector weights = exponentialOfNegative((load(scores + i) - largest) * scale);
    store(scores + i, weights);
    sums += weights;
  }
  store(lanes, sums);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return 1.0f / lanes[0];
}

// out[h] = inverseSums[h] * sum over tokens of weight * value, for the columns of `vectors` from `column` on.
// Where half of the registers can hold twice the sums, even and odd tokens are summed apart: two chains hide
// the latency of the additions.
template <int heads, int vectors, typename C>
[[gnu::noinline]] void weighColumns(float* out, const float* weights, int64_t stride,
                                    const float* inverseSums, const Group<C>& group, int64_t column) {
  constexpr int chains = 2 * heads * vectors <= kVectorRegisters / 2 ? 2 : 1;
  constexpr int together = kNeighbours<C>;
  Vector sums[chains][heads][vectors] = {};
  // Adds at most `count` neighbours: one where the second has not been written.
  const auto addTokens = [&](int chain, const C* values, int64_t token, int count)
      __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int n = 0; n < count; ++n) {
      Vector value[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) value[v] = loadNeighbour(values + v * together * kLanes, n);
#pragma GCC unroll 4
      for (int h = 0; h < heads; ++h) {
        const float weight = weights[h * stride + token + n];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[n == 0 ? chain : chains - 1][h][v] += weight * value[v];
      }
    }
  };
  for (int64_t begin = 0; begin < group.length; begin += kBlock) {
    const C* values = group.values(begin / kBlock) + column * together;
    const int64_t tokens = std::min(kBlock, group.length - begin);
    int64_t token = 0;
#pragma GCC unroll 1  // unrolled, GCC leaves values on the stack
    for (; token + 2 <= tokens; token += 2) {
      addTokens(0, values + token * group.headDim, begin + token, together);
      if (together == 2) continue;
      addTokens(chains - 1, values + (token + 1) * group.headDim, begin + token + 1, 1);
    }
    if (token < tokens) addTokens(0, values + token * group.headDim, begin + token, 1);
  }
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const Vector sum = chains == 2 ? sums[0][h][v] + sums[chains - 1][h][v] : sums[0][h][v];
      store(out + h * group.headDim + column + v * kLanes, sum * inverseSums[h]);
    }
  }
}

// Computes the columns left over where the head dimension is no whole number of vectors.
template <int heads, typename C>
void weighRest(float* out, const float* weights, int64_t stride, const float* inverseSums,
               const Group<C>& group, int64_t column) {
  const int64_t columns = group.headDim - column;
  for (int h = 0; h < heads; ++h) {
    float sums[kLanes] = {};
    for (int64_t token = 0; token < group.length; ++token) {
      const C* values = group.values(token / kBlock);
      const float weight = weights[h * stride + token];
      for (int64_t i = 0; i < columns; ++i)
        sums[i] += weight * fromCached(values[valueIndex<C>(token % kBlock, column + i, group.headDim)]);
    }
    for (int64_t i = 0; i < columns; ++i) out[h * group.headDim + column + i] = sums[i] * inverseSums[h];
  }
}

template <int heads, typename C>
void attend(float* out, const float* queries, const Group<C>& group, std::vector<float>& scratch) {
  const int64_t stride = (group.length + kBlock - 1) / kBlock * kBlock;
  if (scratch.size() < static_cast<size_t>(heads * stride))
    scratch.resize(static_cast<size_t>(heads * stride));
  float* scores = scratch.data();
  score<heads>(scores, stride, queries, group);
  const float scale = 1.0f / std::sqrt(static_cast<float>(group.headDim));
  float inverseSums[heads];
  for (int h = 0; h < heads; ++h) inverseSums[h] = softmax(scores + h * stride, group.length, scale);
  int64_t column = 0;
  const auto columnsLeft = [&](int64_t vectors) { return column + vectors * kLanes <= group.headDim; };
  for (; columnsLeft(4); column += 4 * kLanes) {
    weighColumns<heads, 4>(out, scores, stride, inverseSums, group, column);
  }
  for (; columnsLeft(2); column += 2 * kLanes) {
    weighColumns<heads, 2>(out, scores, stride, inverseSums, group, column);
  }
  for (; columnsLeft(1); column += kLanes) {
    weighColumns<heads, 1>(out, scores, stride, inverseSums, group, column);
  }
  if (column < group.headDim) weighRest<heads>(out, scores, stride, inverseSums, group, column);
}

template <typename C>
void attendHead(float* out, const C* cache, const float* qkv, const CachedAttentionRow& row, int64_t kvHead,
                const Shape& shape, std::vector<float>& scratch) {
  Group<C> group{cache + kvHead * shape.headValues(), row.blocks,    row.length, shape.blockValues(),
                 shape.kvHeads * shape.headValues(),  shape.headDim, true};
  const int64_t groupHeads = shape.heads / shape.kvHeads, end = (kvHead + 1) * groupHeads;
  for (int64_t head = kvHead * groupHeads; head < end;) {
    const int64_t together = std::min<int64_t>(kMostHeads, end - head);
    float* target = out + head * shape.headDim;
    const float* queries = qkv + head * shape.headDim;
    withConstant<kMostHeads>(together, [&](auto count) { attend<count>(target, queries, group, scratch); });
    group.fetchValues = false;
    head += together;
  }
}

// The cost of one row and key/value head, in tokens: the row's length and something for starting it.
int64_t cost(const CachedAttentionRow& row) { return row.length + kBlock; }

template <typename C>
void writeRows(C* cache, const Tensor& qkv, const CachedAttentionRow* rows, const Shape& shape) {
  const int64_t count = qkv.shape[0];
#pragma omp parallel for schedule(static) if (count * shape.kvHeads * shape.headDim > parallelKeyElements())
  for (int64_t r = 0; r < count; ++r) {
    const int64_t position = rows[r].length - 1;
    writeToBlock(cache + rows[r].blocks[position / kBlock] * shape.blockValues(),
                 qkv.f32() + r * shape.qkvWidth() + shape.outWidth(), position % kBlock, shape.kvHeads,
                 shape.headDim);
  }
}

// Each thread takes the units that begin in its share of the total cost.
template <typename C>
void attendShare(float* out, const C* cache, const Tensor& qkv, const CachedAttentionRow* rows,
                 const Shape& shape, int64_t total) {
  thread_local std::vector<float> scratch;
  const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
  int64_t begun = 0;
  for (int64_t r = 0; r < qkv.shape[0]; ++r) {
    for (int64_t k = 0; k < shape.kvHeads; ++k, begun += cost(rows[r])) {
      if (begun * threads / total != thread) continue;
      attendHead(out + r * shape.outWidth(), cache, qkv.f32() + r * shape.qkvWidth(), rows[r], k, shape,
                 scratch);
    }
  }
}

}  // namespace

void CpuBackend::writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                            const AttentionShape& given) {
  Profiler::Scope scope(profiler(), "writeCache");
  const Shape shape{given};
  assert(cache.count() == cache.shape[0] * shape.blockValues());
  assert(qkv.count() == qkv.shape[0] * shape.qkvWidth() && shape.headDim % 2 == 0);
  if (cache.dtype == DType::BFloat16) return writeRows(cache.bf16(), qkv, rows, shape);
  writeRows(cache.f32(), qkv, rows, shape);
}

void CpuBackend::cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                                 const CachedAttentionRow* rows, const AttentionShape& given) {
  const Shape shape{given};
  const int64_t count = qkv.shape[0];
  int64_t tokens = 0, total = 0;
  for (int64_t r = 0; r < count; ++r) {
    assert(rows[r].length >= 1);
    tokens += rows[r].length;
    total += cost(rows[r]) * shape.kvHeads;
  }
  const int64_t multiplyAdds = 2 * tokens * shape.outWidth();
  Profiler::Scope scope(profiler(), "cachedAttention", 2.0 * static_cast<double>(multiplyAdds));
  assert(cache.count() == cache.shape[0] * shape.blockValues() && qkv.count() == count * shape.qkvWidth());
  assert(out.count() == count * shape.outWidth());
#pragma omp parallel if (multiplyAdds > parallelMultiplyAdds() / 4)
  {
    if (cache.dtype == DType::BFloat16) {
      attendShare(out.f32(), cache.bf16(), qkv, rows, shape, total);
    } else {
      attendShare(out.f32(), cache.f32(), qkv, rows, shape, total);
    }
  }
}

}  // namespace hdpo
