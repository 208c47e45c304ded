// Packed causal attention with grouped queries, in tiles: no [T, T] matrix exists, memory grows with T alone.
//
// Shapes: qkv, gradQkv [N, (H + 2K) * E]; out, gradOut [N, H * E]; logSumExp [N, H]. The G = H / K query
// heads that share a key head are handled together: row r of such a group is head r % G of position r / G, so
// T positions make T * G rows, of which a tile takes kTileRows as lanes. With s = q . k / sqrt(E), L = log
// sum exp(s), P = exp(s - L):
//   out_r = sum_k P_rk v_k, by the online softmax over blocks of keys (Milakov and Gimelshein 2018; Dao et
//   al. 2022) dV_k = sum_r P_rk dO_r      dP_rk = dO_r . v_k      dS_rk = P_rk (dP_rk - dO_r . out_r) dQ_r =
//   sum_k dS_rk k_k / sqrt(E)                    dK_k = sum_r dS_rk q_r / sqrt(E)
// Every sum is taken by one thread in a fixed order: results are the same for any number of threads.
#include <omp.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "cpu/attention_tile.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

namespace {

// Forward tiles of one work item: long sequences are shared by the threads, short ones load their keys once.
constexpr int64_t kTilesPerItem = 16;

struct Shape {
  int64_t heads, kvHeads, headDim;
  int64_t group, width, stride;  // G; row of qkv; headDim rounded up to whole vectors
  float scale;

  Shape(int64_t h, int64_t k, int64_t e)
      : heads(h),
        kvHeads(k),
        headDim(e),
        group(h / k),
        width((h + 2 * k) * e),
        stride((e + kLanes - 1) / kLanes * kLanes),
        scale(1.0f / std::sqrt(static_cast<float>(e))) {}
};

// Rows [firstRow, firstRow + rows) of one sequence's group of heads.
struct Tile {
  const Shape& shape;
  int64_t firstToken, firstRow, kvHead;
  int rows, vectors;

  Tile(const Shape& s, int64_t token, int64_t row, int64_t end, int64_t head)
      : shape(s),
        firstToken(token),
        firstRow(row),
        kvHead(head),
        rows(static_cast<int>(std::min(kTileRows, end - row))),
        vectors(static_cast<int>((rows + kLanes - 1) / kLanes)) {}
  int64_t position(int64_t row) const { return (firstRow + row) / shape.group; }
  int64_t token(int64_t row) const { return firstToken + position(row); }
  int64_t head(int64_t row) const { return kvHead * shape.group + (firstRow + row) % shape.group; }
  int64_t keys() const { return position(rows - 1) + 1; }

  Visibility visibility(int64_t firstKey, int64_t count) const {
    Visibility result{};
    for (int v = 0; v < vectors; ++v) {
      const int64_t last = std::min<int64_t>(rows, (v + 1) * kLanes) - 1;
      result.full[v] = std::clamp<int64_t>(position(v * kLanes) + 1 - firstKey, 0, count);
      result.any[v] = std::clamp<int64_t>(position(last) + 1 - firstKey, 0, count);
    }
    return result;
  }
  // Lane by lane the last key that vector v sees. Lanes beyond the tile's rows count as later positions.
  VectorInt lastKeys(int v) const {
    VectorInt result;
    for (int64_t lane = 0; lane < kLanes; ++lane)
      result[lane] = static_cast<int32_t>(position(v * kLanes + lane));
    return result;
  }
};

// transposed [E][kTileRows] = scale * the tile's rows of a matrix [N, width] whose head h begins at column h
// * E; also straight [kTileRows][stride] where given. Rows and columns beyond the tile are 0.
void packRows(float* transposed, float* straight, const Tile& tile, const float* matrix, int64_t width,
              float scale) {
  const Shape& shape = tile.shape;
  for (int64_t vector = 0; vector < tile.vectors; ++vector) {
    const float* rows[kLanes];
    const int64_t count = std::min(kLanes, tile.rows - vector * kLanes);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t row = vector * kLanes + lane;
      rows[lane] = matrix + tile.token(row) * width + tile.head(row) * shape.headDim;
    }
    for (int64_t e = 0; e < shape.headDim; e += kLanes) {
      const int64_t columns = std::min(kLanes, shape.headDim - e);
      Vector block[kLanes];
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        block[lane] = lane < count ? loadPartial(rows[lane] + e, columns) * scale : Vector{};
        if (straight) store(straight + (vector * kLanes + lane) * shape.stride + e, block[lane]);
      }
      transpose(block);
      for (int64_t i = 0; i < columns; ++i)
        store(transposed + (e + i) * kTileRows + vector * kLanes, block[i]);
    }
  }
}

// The tile's rows of the matrix = lane by lane factors[v] * transposed [E][kTileRows].
void unpackRows(float* matrix, int64_t width, const Tile& tile, const float* transposed,
                const Vector* factors) {
  const Shape& shape = tile.shape;
  for (int64_t vector = 0; vector < tile.vectors; ++vector) {
    const int64_t count = std::min(kLanes, tile.rows - vector * kLanes);
    for (int64_t e = 0; e < shape.headDim; e += kLanes) {
      const int64_t columns = std::min(kLanes, shape.headDim - e);
      Vector block[kLanes] = {};
      for (int64_t i = 0; i < columns; ++i) {
        block[i] = load(transposed + (e + i) * kTileRows + vector * kLanes) * factors[vector];
      }
      transpose(block);
      for (int64_t lane = 0; lane < count; ++lane) {
        const int64_t row = vector * kLanes + lane;
        storePartial(matrix + tile.token(row) * width + tile.head(row) * shape.headDim + e, block[lane],
                     columns);
      }
    }
  }
}

// packed [count + kKeyRows][stride] = one head of `count` tokens; padding is 0.
void packHead(float* packed, const float* head, int64_t width, int64_t count, const Shape& shape) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t e = 0; e < shape.headDim; e += kLanes) {
      const int64_t columns = std::min(kLanes, shape.headDim - e);
      store(packed + row * shape.stride + e, loadPartial(head + row * width + e, columns));
    }
  }
  std::fill_n(packed + count * shape.stride, kKeyRows * shape.stride, 0.0f);
}

// A thread's memory, one buffer after another; all sizes are multiples of kLanes.
class Scratch {
 public:
  explicit Scratch(float* base) : next_(base) {}
  float* take(int64_t count) {
    float* taken = next_;
    next_ += count;
    return taken;
  }

 private:
  float* next_;
};

struct KeysAndValues {
  float *keys, *values;  // [T + kKeyRows][stride]

  KeysAndValues(Scratch& scratch, const Shape& shape, int64_t tokens)
      : keys(scratch.take((tokens + kKeyRows) * shape.stride)),
        values(scratch.take((tokens + kKeyRows) * shape.stride)) {}
  void pack(const float* qkv, int64_t firstToken, int64_t count, int64_t kvHead, const Shape& shape) {
    const float* rows = qkv + firstToken * shape.width + (shape.heads + kvHead) * shape.headDim;
    packHead(keys, rows, shape.width, count, shape);
    packHead(values, rows + shape.kvHeads * shape.headDim, shape.width, count, shape);
  }
};

// --- Forward ---

struct ForwardTile {
  float *queries, *sums;  // [E][kTileRows]: scaled queries; the output before its division
  float* scores;          // [kKeyBlock][kTileRows]: scores, then exp(score - maximum)
  Vector maximum[kTileVectors], total[kTileVectors];

  ForwardTile(Scratch& scratch, const Shape& shape)
      : queries(scratch.take(shape.stride * kTileRows)),
        sums(scratch.take(shape.stride * kTileRows)),
        scores(scratch.take(kKeyBlock * kTileRows)) {}
};
int64_t forwardScratch(const Shape& shape, int64_t tokens) {
  return 2 * (tokens + kKeyRows) * shape.stride + (2 * shape.stride + kKeyBlock) * kTileRows;
}

// Online softmax of vector v over one block of keys: scores become weights, earlier sums are scaled to the
// new maximum.
void softmaxBlock(ForwardTile& work, const Tile& tile, int v, int64_t firstKey,
                  const Visibility& visibility) {
  float* scores = work.scores + v * kLanes;
  const VectorInt lastKey = tile.lastKeys(v) - static_cast<int32_t>(firstKey);
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

void forwardTile(ForwardTile& work, const Tile& tile, const KeysAndValues& kv, const float* qkv, float* out,
                 float* logSumExp) {
  const Shape& shape = tile.shape;
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
  for (int64_t row = 0; row < tile.rows; ++row) {
    const float largest = work.maximum[row / kLanes][row % kLanes],
                total = work.total[row / kLanes][row % kLanes];
    logSumExp[tile.token(row) * shape.heads + tile.head(row)] = largest + std::log(total);
  }
}

// --- Backward ---

struct BackwardTile {
  float *queries, *gradOut,
      *gradQueries;  // [E][kTileRows]: scaled queries; gradient of their outputs; their gradient
  float *queryRows, *gradOutRows;  // [kTileRows][stride]
  float *weights, *gradScores;     // [kKeyBlock][kTileRows]: s, then P; dP, then dS
  Vector logSumExp[kTileVectors], outDotGrad[kTileVectors];

  BackwardTile(Scratch& scratch, const Shape& shape)
      : queries(scratch.take(shape.stride * kTileRows)),
        gradOut(scratch.take(shape.stride * kTileRows)),
        gradQueries(scratch.take(shape.stride * kTileRows)),
        queryRows(scratch.take(shape.stride * kTileRows)),
        gradOutRows(scratch.take(shape.stride * kTileRows)),
        weights(scratch.take(kKeyBlock * kTileRows)),
        gradScores(scratch.take(kKeyBlock * kTileRows)) {}
};
int64_t backwardScratch(const Shape& shape, int64_t tokens) {
  return 4 * (tokens + kKeyRows) * shape.stride + (5 * shape.stride + 2 * kKeyBlock) * kTileRows;
}

// logSumExp and dO . out of every lane; 0 in lanes beyond the tile's rows.
void loadRowTerms(BackwardTile& work, const Tile& tile, const float* out, const float* logSumExp) {
  const Shape& shape = tile.shape;
  for (int64_t vector = 0; vector < tile.vectors; ++vector) {
    Vector products[kLanes] = {}, sums{};
    const int64_t count = std::min(kLanes, tile.rows - vector * kLanes);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t row = vector * kLanes + lane, index = tile.token(row) * shape.heads + tile.head(row);
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

// Vector v over one block of keys: s becomes P and dP becomes dS; 0 where a lane does not see the key, up to
// `count`.
void gradientBlock(BackwardTile& work, const Tile& tile, int v, int64_t firstKey, int64_t count,
                   const Visibility& visibility) {
  float *weights = work.weights + v * kLanes, *gradScores = work.gradScores + v * kLanes;
  const VectorInt lastKey = tile.lastKeys(v) - static_cast<int32_t>(firstKey);
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

void backwardTile(BackwardTile& work, const Tile& tile, const KeysAndValues& kv, const KeysAndValues& gradKv,
                  const float* qkv, const float* gradOut, const float* out, const float* logSumExp,
                  float* gradQkv) {
  const Shape& shape = tile.shape;
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
      // Row r sees keys up to r / G: the first row to see any of these.
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

void unpackHead(float* head, int64_t width, const float* packed, int64_t count, const Shape& shape) {
  for (int64_t row = 0; row < count; ++row) {
    std::memcpy(head + row * width, packed + row * shape.stride,
                static_cast<size_t>(shape.headDim) * sizeof(float));
  }
}

// --- Work items ---

// Rows [begin, end) of one key head's group in one sequence, for one thread.
struct Item {
  int64_t firstToken, tokens, kvHead, begin, end;
};

// Longest first, so that the last ones to be taken are short.
std::vector<Item> workItems(const int32_t* offsets, int64_t sequences, const Shape& shape,
                            int64_t rowsPerItem) {
  std::vector<int64_t> order(static_cast<size_t>(sequences));
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](int64_t s) { return int64_t{offsets[s + 1]} - offsets[s]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<Item> items;
  for (const int64_t s : order) {
    const int64_t rows = length(s) * shape.group;
    for (int64_t end = rows; end > 0; end -= std::min(end, rowsPerItem)) {
      for (int64_t kvHead = 0; kvHead < shape.kvHeads; ++kvHead) {
        items.push_back({offsets[s], length(s), kvHead, std::max<int64_t>(0, end - rowsPerItem), end});
      }
    }
  }
  return items;
}

int64_t longest(const int32_t* offsets, int64_t sequences) {
  int64_t result = 0;
  for (int64_t s = 0; s < sequences; ++s) result = std::max<int64_t>(result, offsets[s + 1] - offsets[s]);
  return result;
}

// Products of `perPair` E-long vectors for every visible pair of query and key.
double attentionFlops(const int32_t* offsets, int64_t sequences, const Shape& shape, double perPair) {
  double pairs = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    const double length = offsets[s + 1] - offsets[s];
    pairs += length * (length + 1) / 2;
  }
  return 2 * perPair * pairs * static_cast<double>(shape.heads * shape.headDim);
}

}  // namespace

void CpuBackend::attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv,
                           const int32_t* offsets, int64_t sequences, int64_t heads, int64_t kvHeads,
                           int64_t headDim) {
  const Shape shape(heads, kvHeads, headDim);
  Profiler::Scope scope(profiler(), "attention", attentionFlops(offsets, sequences, shape, 2));
  assert(heads % kvHeads == 0 && headDim % 2 == 0 && qkv.count() == offsets[sequences] * shape.width);
  assert(out.count() == offsets[sequences] * heads * headDim &&
         logSumExp.count() == offsets[sequences] * heads);
  const std::vector<Item> items = workItems(offsets, sequences, shape, kTilesPerItem * kTileRows);
  const int64_t tokens = longest(offsets, sequences), perThread = forwardScratch(shape, tokens);
  scratch_.reserve(*this, static_cast<size_t>(threads_ * perThread) * sizeof(float));
#pragma omp parallel for schedule(dynamic, 1) if (qkv.count() > kParallelElements)
  for (size_t index = 0; index < items.size(); ++index) {
    const Item& item = items[index];
    Scratch scratch(scratch_.f32() + omp_get_thread_num() * perThread);
    KeysAndValues kv(scratch, shape, tokens);
    ForwardTile work(scratch, shape);
    kv.pack(qkv.f32(), item.firstToken, (item.end - 1) / shape.group + 1, item.kvHead, shape);
    for (int64_t row = item.begin; row < item.end; row += kTileRows) {
      const Tile tile(shape, item.firstToken, row, item.end, item.kvHead);
      forwardTile(work, tile, kv, qkv.f32(), out.f32(), logSumExp.f32());
    }
  }
}

void CpuBackend::attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv,
                                   const Tensor& out, const Tensor& logSumExp, const int32_t* offsets,
                                   int64_t sequences, int64_t heads, int64_t kvHeads, int64_t headDim) {
  const Shape shape(heads, kvHeads, headDim);
  Profiler::Scope scope(profiler(), "attentionBackward", attentionFlops(offsets, sequences, shape, 5));
  assert(heads % kvHeads == 0 && headDim % 2 == 0 && qkv.count() == offsets[sequences] * shape.width);
  assert(gradQkv.count() == qkv.count() && gradOut.count() == out.count());
  // All rows of a group in one item: gradients of keys and values are sums over them.
  const int64_t tokens = longest(offsets, sequences), perThread = backwardScratch(shape, tokens);
  const std::vector<Item> items =
      workItems(offsets, sequences, shape, std::max<int64_t>(1, tokens * shape.group));
  scratch_.reserve(*this, static_cast<size_t>(threads_ * perThread) * sizeof(float));
#pragma omp parallel for schedule(dynamic, 1) if (qkv.count() > kParallelElements)
  for (size_t index = 0; index < items.size(); ++index) {
    const Item& item = items[index];
    Scratch scratch(scratch_.f32() + omp_get_thread_num() * perThread);
    KeysAndValues kv(scratch, shape, tokens), gradKv(scratch, shape, tokens);
    BackwardTile work(scratch, shape);
    kv.pack(qkv.f32(), item.firstToken, item.tokens, item.kvHead, shape);
    std::fill_n(gradKv.keys, (item.tokens + kKeyRows) * shape.stride, 0.0f);
    std::fill_n(gradKv.values, (item.tokens + kKeyRows) * shape.stride, 0.0f);
    for (int64_t row = 0; row < item.end; row += kTileRows) {
      const Tile tile(shape, item.firstToken, row, item.end, item.kvHead);
      backwardTile(work, tile, kv, gradKv, qkv.f32(), gradOut.f32(), out.f32(), logSumExp.f32(),
                   gradQkv.f32());
    }
    float* keys = gradQkv.f32() + item.firstToken * shape.width + (heads + item.kvHead) * headDim;
    unpackHead(keys, shape.width, gradKv.keys, item.tokens, shape);
    unpackHead(keys + kvHeads * headDim, shape.width, gradKv.values, item.tokens, shape);
  }
}

}  // namespace hdpo
