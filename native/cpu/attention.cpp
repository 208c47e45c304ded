// Packed causal attention with grouped queries, in tiles: no [T, T] matrix exists, memory grows with T alone.
//
// Shapes: qkv, gradQkv [N, (H + 2K) * E]; out, gradOut [N, H * E]; logSumExp [N, H]. The G = H / K query
// heads that share a key head are handled together: row r of such a group is query head r % G at position r /
// G, so T positions make T * G rows. A tile takes kTileRows of them, one per lane.
//
// Row r sees the keys k <= r / G. With L_r = log sum_k exp(s_rk):
//   s_rk  = q_r . k_k / sqrt(E)
//   P_rk  = exp(s_rk - L_r)
//   out_r = sum_k P_rk v_k               by the online softmax over blocks of keys
//                                        (Milakov and Gimelshein 2018; Dao et al. 2022)
//   dV_k  = sum_r P_rk dO_r
//   dP_rk = dO_r . v_k
//   dS_rk = P_rk (dP_rk - dO_r . out_r)
//   dQ_r  = sum_k dS_rk k_k / sqrt(E)
//   dK_k  = sum_r dS_rk q_r / sqrt(E)
// Every sum is taken by one thread in a fixed order: results are the same for any number of threads.
#include <omp.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "cpu/attention_products.h"
#include "cpu/attention_tile.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

namespace {

// --- Forward ---

struct ForwardTile {
  float *queries, *sums;  // [E][kTileRows]: scaled queries; the output before its division
  float* scores;          // [kKeyBlock][kTileRows]: scores, then exp(score - maximum)
  Vector maximum[kTileVectors], total[kTileVectors];

  ForwardTile(AttentionScratch& scratch, const TiledAttention& shape)
      : queries(scratch.take(shape.stride * kTileRows)),
        sums(scratch.take(shape.stride * kTileRows)),
        scores(scratch.take(kKeyBlock * kTileRows)) {}
};
int64_t forwardScratch(const TiledAttention& shape, int64_t tokens) {
  return 2 * (tokens + kKeyRows) * shape.stride + (2 * shape.stride + kKeyBlock) * kTileRows;
}

// Takes vector v's online softmax over one block of keys: scores become weights, and earlier sums are scaled
// to the new maximum.
[[gnu::noinline]] void softmaxBlock(ForwardTile& work, const AttentionTile& tile, int v, int64_t firstKey,
                                    const Visibility& visibility) {
  float* scores = work.scores + v * kLanes;
  const VectorInt lastKey = tile.lastKeys(v, firstKey);
  const int64_t full = visibility.full[v], any = visibility.any[v];
  Vector largest = work.maximum[v];
  for (int64_t key = 0; key < full; ++key) largest = maximum(largest, load(scores + key * kTileRows));
  for (int64_t key = full; key < any; ++key) {
    const Vector score = load(scores + key * kTileRows);
    largest = static_cast<int32_t>(key) <= lastKey ? maximum(largest, score) : largest;
  }
  const Vector correction = exponentialOfNegative(work.maximum[v] - largest);
  Vector total = work.total[v] * correction;
  for (int64_t key = 0; key < full; ++key) {
    const Vector weight = exponentialOfNegative(load(scores + key * kTileRows) - largest);
    store(scores + key * kTileRows, weight);
    total += weight;
  }
  for (int64_t key = full; key < any; ++key) {
    Vector weight = exponentialOfNegative(load(scores + key * kTileRows) - largest);
    weight = static_cast<int32_t>(key) <= lastKey ? weight : Vector{};
    store(scores + key * kTileRows, weight);
    total += weight;
  }
  if (firstKey > 0) {
    for (int64_t e = 0; e < tile.shape.headDim; ++e) {
      float* sum = work.sums + e * kTileRows + v * kLanes;
      store(sum, load(sum) * correction);
    }
  }
  work.maximum[v] = largest;
  work.total[v] = total;
}

void forwardTile(ForwardTile& work, const AttentionTile& tile, const KeysAndValues& kv, const float* qkv,
                 float* out, float* logSumExp) {
  const TiledAttention& shape = tile.shape;
  packRows(work.queries, nullptr, tile, qkv, shape.width, shape.scale);
  std::fill_n(work.sums, shape.headDim * kTileRows, 0.0f);
  for (int v = 0; v < tile.vectors; ++v) {
    work.maximum[v] = broadcast(-std::numeric_limits<float>::infinity());
    work.total[v] = Vector{};
  }
  for (int64_t firstKey = 0; firstKey < tile.keys(); firstKey += kKeyBlock) {
    const int64_t count = std::min(kKeyBlock, tile.keys() - firstKey);
    const Visibility visibility = tile.visibility(firstKey, count);
    scoreKeys(work.scores, kv.keys + firstKey * shape.stride, shape.stride, work.queries, shape.headDim,
              count, tile.vectors, visibility);
    for (int v = 0; v < tile.vectors; ++v) {
      if (visibility.any[v] > 0) softmaxBlock(work, tile, v, firstKey, visibility);
    }
    addWeightedValues(work.sums, work.scores, kv.values + firstKey * shape.stride, shape.stride,
                      shape.headDim, tile.vectors, visibility);
  }
  Vector inverse[kTileVectors];
  for (int v = 0; v < tile.vectors; ++v) inverse[v] = 1.0f / work.total[v];
  unpackRows(out, shape.heads * shape.headDim, tile, work.sums, inverse);
  for (int v = 0; v < tile.vectors; ++v) {
    const Vector sums = work.maximum[v] + logarithm(work.total[v]);
    for (int64_t row = v * kLanes; row < std::min<int64_t>(tile.rows, (v + 1) * kLanes); ++row) {
      logSumExp[tile.token(row) * shape.heads + tile.heads[row]] = sums[row % kLanes];
    }
  }
}

// --- Backward ---

struct BackwardTile {
  float *queries, *gradOut,
      *gradQueries;  // [E][kTileRows]: scaled queries; gradient of their outputs; their gradient
  float *queryRows, *gradOutRows;  // [kTileRows][stride]
  float *weights, *gradScores;     // [kKeyBlock][kTileRows]: s, then P; dP, then dS
  Vector logSumExp[kTileVectors], outDotGrad[kTileVectors];

  BackwardTile(AttentionScratch& scratch, const TiledAttention& shape)
      : queries(scratch.take(shape.stride * kTileRows)),
        gradOut(scratch.take(shape.stride * kTileRows)),
        gradQueries(scratch.take(shape.stride * kTileRows)),
        queryRows(scratch.take(shape.stride * kTileRows)),
        gradOutRows(scratch.take(shape.stride * kTileRows)),
        weights(scratch.take(kKeyBlock * kTileRows)),
        gradScores(scratch.take(kKeyBlock * kTileRows)) {}
};
int64_t backwardScratch(const TiledAttention& shape, int64_t tokens) {
  return 4 * (tokens + kKeyRows) * shape.stride + (5 * shape.stride + 2 * kKeyBlock) * kTileRows;
}

// Loads logSumExp and computes dO . out for every lane; both are 0 in lanes beyond the tile's rows.
void loadRowTerms(BackwardTile& work, const AttentionTile& tile, const float* out, const float* logSumExp) {
  const TiledAttention& shape = tile.shape;
  for (int64_t vector = 0; vector < tile.vectors; ++vector) {
    Vector products[kLanes] = {}, sums{};
    const int64_t count = std::min(kLanes, tile.rows - vector * kLanes);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t row = vector * kLanes + lane, index = tile.token(row) * shape.heads + tile.heads[row];
      sums[lane] = logSumExp[index];
      for (int64_t e = 0; e < shape.headDim; e += kLanes) {
        products[lane] += loadPartial(out + index * shape.headDim + e, std::min(kLanes, shape.headDim - e)) *
                          load(work.gradOutRows + row * shape.stride + e);
      }
    }
    work.logSumExp[vector] = sums;
    transpose(products);
    Vector dot{};
    for (int64_t i = 0; i < kLanes; ++i) dot += products[i];
    work.outDotGrad[vector] = dot;
  }
}

// For vector v over one block of keys, s becomes P and dP becomes dS. Both are 0 for keys that a lane does
// not see, up to `count`.
[[gnu::noinline]] void gradientBlock(BackwardTile& work, const AttentionTile& tile, int v, int64_t firstKey,
                                     int64_t count, const Visibility& visibility) {
  float *weights = work.weights + v * kLanes, *gradScores = work.gradScores + v * kLanes;
  const VectorInt lastKey = tile.lastKeys(v, firstKey);
  const Vector logSumExp = work.logSumExp[v], outDotGrad = work.outDotGrad[v];
  const int64_t full = visibility.full[v], any = visibility.any[v];
  for (int64_t key = 0; key < any; ++key) {
    Vector weight = exponentialOfNegative(load(weights + key * kTileRows) - logSumExp);
    if (key >= full) weight = static_cast<int32_t>(key) <= lastKey ? weight : Vector{};
    store(weights + key * kTileRows, weight);
    store(gradScores + key * kTileRows, weight * (load(gradScores + key * kTileRows) - outDotGrad));
  }
  for (int64_t key = any; key < count; ++key) {
    store(weights + key * kTileRows, Vector{});
    store(gradScores + key * kTileRows, Vector{});
  }
}

void backwardTile(BackwardTile& work, const AttentionTile& tile, const KeysAndValues& kv,
                  const KeysAndValues& gradKv, const float* qkv, const float* gradOut, const float* out,
                  const float* logSumExp, float* gradQkv) {
  const TiledAttention& shape = tile.shape;
  packRows(work.queries, work.queryRows, tile, qkv, shape.width, shape.scale);
  packRows(work.gradOut, work.gradOutRows, tile, gradOut, shape.heads * shape.headDim, 1);
  loadRowTerms(work, tile, out, logSumExp);
  std::fill_n(work.gradQueries, shape.headDim * kTileRows, 0.0f);
  for (int64_t firstKey = 0; firstKey < tile.keys(); firstKey += kKeyBlock) {
    const int64_t count = std::min(kKeyBlock, tile.keys() - firstKey), at = firstKey * shape.stride;
    const int64_t rounded = (count + kKeyRows - 1) / kKeyRows * kKeyRows;
    const Visibility visibility = tile.visibility(firstKey, count);
    scoreKeys(work.weights, kv.keys + at, shape.stride, work.queries, shape.headDim, count, tile.vectors,
              visibility);
    scoreKeys(work.gradScores, kv.values + at, shape.stride, work.gradOut, shape.headDim, count, tile.vectors,
              visibility);
    for (int v = 0; v < tile.vectors; ++v) gradientBlock(work, tile, v, firstKey, rounded, visibility);
    addWeightedValues(work.gradQueries, work.gradScores, kv.keys + at, shape.stride, shape.headDim,
                      tile.vectors, visibility);
    for (int64_t key = 0; key < count; key += kKeyRows) {
      const int64_t row = at + key * shape.stride;
      // Row r sees keys up to r / G: `begin` is the first row to see any of these keys.
      const int64_t begin = std::max<int64_t>(0, (firstKey + key) * shape.group - tile.firstRow);
      addTransposed(gradKv.values + row, work.weights + key * kTileRows, work.gradOutRows, shape.stride,
                    begin, tile.rows);
      addTransposed(gradKv.keys + row, work.gradScores + key * kTileRows, work.queryRows, shape.stride, begin,
                    tile.rows);
    }
  }
  Vector scales[kTileVectors];
  std::fill_n(scales, kTileVectors, broadcast(shape.scale));
  unpackRows(gradQkv, shape.width, tile, work.gradQueries, scales);
}

// Counts `perPair` products of E-long vectors per visible pair of query and key.
double attentionFlops(const int32_t* offsets, int64_t sequences, const TiledAttention& shape,
                      double perPair) {
  double pairs = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    const double length = offsets[s + 1] - offsets[s];
    pairs += length * (length + 1) / 2;
  }
  return 2 * perPair * pairs * static_cast<double>(shape.heads * shape.headDim);
}

}  // namespace

void CpuBackend::attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv,
                           const int32_t* offsets, int64_t sequences, const AttentionShape& given) {
  const TiledAttention shape(given);
  Profiler::Scope scope(profiler(), "attention", attentionFlops(offsets, sequences, shape, 2));
  assert(shape.heads % shape.kvHeads == 0 && shape.headDim % 2 == 0);
  assert(qkv.count() == offsets[sequences] * shape.width);
  assert(out.count() == offsets[sequences] * shape.outWidth());
  assert(logSumExp.count() == offsets[sequences] * shape.heads);
  const std::vector<AttentionItem> items = workItems(offsets, sequences, shape, kTilesPerItem * kTileRows,
                                                     headsPerItem(sequences, threads_, shape));
  const int64_t tokens = longest(offsets, sequences), perThread = forwardScratch(shape, tokens);
  scratch_.reserve(*this, static_cast<size_t>(threads_ * perThread) * sizeof(float));
#pragma omp parallel for schedule(dynamic, 1) if (qkv.count() > parallelElements())
  for (size_t index = 0; index < items.size(); ++index) {
    const AttentionItem& item = items[index];
    AttentionScratch scratch(scratch_.f32() + omp_get_thread_num() * perThread);
    KeysAndValues kv(scratch, shape, tokens);
    ForwardTile work(scratch, shape);
    touchRows(qkv.f32(), shape.width, item);
    touchRows(out.f32(), shape.outWidth(), item);
    for (int64_t kvHead = item.firstHead; kvHead < item.endHead; ++kvHead) {
      kv.pack(qkv.f32(), item.firstToken, (item.end - 1) / shape.group + 1, kvHead, shape);
      for (int64_t row = item.begin; row < item.end; row += kTileRows) {
        const AttentionTile tile(shape, item.firstToken, row, item.end, kvHead);
        forwardTile(work, tile, kv, qkv.f32(), out.f32(), logSumExp.f32());
      }
    }
  }
}

void CpuBackend::attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv,
                                   const Tensor& out, const Tensor& logSumExp, const int32_t* offsets,
                                   int64_t sequences, const AttentionShape& given) {
  const TiledAttention shape(given);
  Profiler::Scope scope(profiler(), "attentionBackward", attentionFlops(offsets, sequences, shape, 5));
  assert(shape.heads % shape.kvHeads == 0 && shape.headDim % 2 == 0);
  assert(qkv.count() == offsets[sequences] * shape.width);
  assert(gradQkv.count() == qkv.count() && gradOut.count() == out.count());
  // One item takes all rows of a group, because the gradients of keys and values are sums over them.
  const int64_t tokens = longest(offsets, sequences), perThread = backwardScratch(shape, tokens);
  const std::vector<AttentionItem> items =
      workItems(offsets, sequences, shape, std::max<int64_t>(1, tokens * shape.group),
                headsPerItem(sequences, threads_, shape));
  scratch_.reserve(*this, static_cast<size_t>(threads_ * perThread) * sizeof(float));
#pragma omp parallel for schedule(dynamic, 1) if (qkv.count() > parallelElements())
  for (size_t index = 0; index < items.size(); ++index) {
    const AttentionItem& item = items[index];
    AttentionScratch scratch(scratch_.f32() + omp_get_thread_num() * perThread);
    KeysAndValues kv(scratch, shape, tokens), gradKv(scratch, shape, tokens);
    BackwardTile work(scratch, shape);
    touchRows(qkv.f32(), shape.width, item);
    touchRows(gradOut.f32(), shape.outWidth(), item);
    touchRows(out.f32(), shape.outWidth(), item);
    touchRows(gradQkv.f32(), shape.width, item);
    for (int64_t kvHead = item.firstHead; kvHead < item.endHead; ++kvHead) {
      kv.pack(qkv.f32(), item.firstToken, item.tokens, kvHead, shape);
      std::fill_n(gradKv.keys, (item.tokens + kKeyRows) * shape.stride, 0.0f);
      std::fill_n(gradKv.values, (item.tokens + kKeyRows) * shape.stride, 0.0f);
      for (int64_t row = 0; row < item.end; row += kTileRows) {
        const AttentionTile tile(shape, item.firstToken, row, item.end, kvHead);
        backwardTile(work, tile, kv, gradKv, qkv.f32(), gradOut.f32(), out.f32(), logSumExp.f32(),
                     gradQkv.f32());
      }
      gradKv.unpack(gradQkv.f32(), item.firstToken, item.tokens, kvHead, shape);
    }
  }
}

}  // namespace hdpo
