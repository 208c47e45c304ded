// How attention is cut into tiles of query rows and work items, and how their data is moved between the
// packed batch and the layouts of attention_products.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "cpu/attention_products.h"
#include "ops/backend.h"

namespace hdpo {

// Forward tiles per work item: threads share a long sequence, and a short one loads its keys once.
constexpr int64_t kTilesPerItem = 16;
// With this many sequences per thread, one item takes all heads of a sequence: the heads share cache lines
// and pages.
constexpr int64_t kSequencesPerThread = 4;
// Elements of a sequence's rows that fit the second level of cache beside other data.
constexpr int64_t kTouchedElements = int64_t{1} << 18;

// The shape, and what tiles and rows need of it.
struct TiledAttention : AttentionShape {
  int64_t group, width, stride;  // G; length of a row of qkv; headDim rounded up to whole vectors
  float scale;

  explicit TiledAttention(const AttentionShape& shape)
      : AttentionShape(shape),
        group(heads / kvHeads),
        width(qkvWidth()),
        stride((headDim + kLanes - 1) / kLanes * kLanes),
        scale(1.0f / std::sqrt(static_cast<float>(headDim))) {}
};

// Rows [firstRow, firstRow + rows) of one sequence's group of heads.
struct AttentionTile {
  const TiledAttention& shape;
  int64_t firstToken, firstRow, kvHead;
  int rows, vectors;
  int32_t positions[kTileRows];  // per lane; lanes beyond `rows` count as later positions
  int32_t heads[kTileRows];

  AttentionTile(const TiledAttention& s, int64_t token, int64_t row, int64_t end, int64_t kv)
      : shape(s),
        firstToken(token),
        firstRow(row),
        kvHead(kv),
        rows(static_cast<int>(std::min(kTileRows, end - row))),
        vectors(static_cast<int>((rows + kLanes - 1) / kLanes)) {
    int32_t position = static_cast<int32_t>(row / s.group), member = static_cast<int32_t>(row % s.group);
    for (int64_t lane = 0; lane < kTileRows; ++lane) {
      positions[lane] = position;
      heads[lane] = static_cast<int32_t>(kv * s.group) + member;
      if (++member == s.group) ++position, member = 0;
    }
  }
  int64_t token(int64_t row) const { return firstToken + positions[row]; }
  int64_t keys() const { return positions[rows - 1] + 1; }

  Visibility visibility(int64_t firstKey, int64_t count) const {
    Visibility result{};
    for (int v = 0; v < vectors; ++v) {
      const int64_t last = std::min<int64_t>(rows, (v + 1) * kLanes) - 1;
      result.full[v] = std::clamp<int64_t>(positions[v * kLanes] + 1 - firstKey, 0, count);
      result.any[v] = std::clamp<int64_t>(positions[last] + 1 - firstKey, 0, count);
    }
    return result;
  }
  // The last key that each lane of vector v sees, counted from firstKey.
  VectorInt lastKeys(int v, int64_t firstKey) const {
    VectorInt result;
    std::memcpy(&result, positions + v * kLanes, sizeof(result));
    return result - static_cast<int32_t>(firstKey);
  }
};

// --- Work items ---

// One thread's work: rows [begin, end) of the groups of key heads [firstHead, endHead) in one sequence.
struct AttentionItem {
  int64_t firstToken, tokens, firstHead, endHead, begin, end;
};

// The longest come first, so that the last ones to be taken are short.
inline std::vector<AttentionItem> workItems(const int32_t* offsets, int64_t sequences,
                                            const TiledAttention& shape, int64_t rowsPerItem,
                                            int64_t headsPerItem) {
  std::vector<int64_t> order(static_cast<size_t>(sequences));
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](int64_t s) { return int64_t{offsets[s + 1]} - offsets[s]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<AttentionItem> items;
  for (const int64_t s : order) {
    const int64_t rows = length(s) * shape.group;
    for (int64_t end = rows; end > 0; end -= std::min(end, rowsPerItem)) {
      for (int64_t head = 0; head < shape.kvHeads; head += headsPerItem) {
        items.push_back({offsets[s], length(s), head, std::min(shape.kvHeads, head + headsPerItem),
                         std::max<int64_t>(0, end - rowsPerItem), end});
      }
    }
  }
  return items;
}

// Writes transposed [E][kTileRows] = scale * the tile's rows of a matrix [N, width] whose head h begins at
// column h * E, and the same untransposed to straight [kTileRows][stride] where given. Rows and columns
// beyond the tile are 0.
inline void packRows(float* transposed, float* straight, const AttentionTile& tile, const float* matrix,
                     int64_t width, float scale) {
  const TiledAttention& shape = tile.shape;
  for (int64_t vector = 0; vector < tile.vectors; ++vector) {
    const float* rows[kLanes];
    const int64_t count = std::min(kLanes, tile.rows - vector * kLanes);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t row = vector * kLanes + lane;
      rows[lane] = matrix + tile.token(row) * width + tile.heads[row] * shape.headDim;
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

// Writes the tile's rows of the matrix: transposed [E][kTileRows], with vector v multiplied lane by lane by
// factors[v].
inline void unpackRows(float* matrix, int64_t width, const AttentionTile& tile, const float* transposed,
                       const Vector* factors) {
  const TiledAttention& shape = tile.shape;
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
        storePartial(matrix + tile.token(row) * width + tile.heads[row] * shape.headDim + e, block[lane],
                     columns);
      }
    }
  }
}

// Brings an item's rows of a matrix into the cache before its heads read or write their parts. In this order
// memory streams, while a head's own accesses, a few lines from every row, would each wait for memory.
inline void touchRows(const float* matrix, int64_t width, const AttentionItem& item) {
  if (item.tokens * width <= kTouchedElements) touch(matrix + item.firstToken * width, item.tokens * width);
}

// Copies one head of `count` tokens to packed [count + kKeyRows][stride]; padding is 0.
inline void packHead(float* packed, const float* head, int64_t width, int64_t count,
                     const TiledAttention& shape) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t e = 0; e < shape.headDim; e += kLanes) {
      const int64_t columns = std::min(kLanes, shape.headDim - e);
      store(packed + row * shape.stride + e, loadPartial(head + row * width + e, columns));
    }
  }
  std::fill_n(packed + count * shape.stride, kKeyRows * shape.stride, 0.0f);
}

inline void unpackHead(float* head, int64_t width, const float* packed, int64_t count,
                       const TiledAttention& shape) {
  for (int64_t row = 0; row < count; ++row) {
    std::memcpy(head + row * width, packed + row * shape.stride,
                static_cast<size_t>(shape.headDim) * sizeof(float));
  }
}

// A thread's memory, handed out one buffer after another; all sizes are multiples of kLanes.
class AttentionScratch {
 public:
  explicit AttentionScratch(float* base) : next_(base) {}
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

  KeysAndValues(AttentionScratch& scratch, const TiledAttention& shape, int64_t tokens)
      : keys(scratch.take((tokens + kKeyRows) * shape.stride)),
        values(scratch.take((tokens + kKeyRows) * shape.stride)) {}
  void pack(const float* qkv, int64_t firstToken, int64_t count, int64_t kvHead,
            const TiledAttention& shape) {
    const float* rows = qkv + firstToken * shape.width + (shape.heads + kvHead) * shape.headDim;
    packHead(keys, rows, shape.width, count, shape);
    packHead(values, rows + shape.kvHeads * shape.headDim, shape.width, count, shape);
  }
  void unpack(float* qkv, int64_t firstToken, int64_t count, int64_t kvHead,
              const TiledAttention& shape) const {
    float* rows = qkv + firstToken * shape.width + (shape.heads + kvHead) * shape.headDim;
    unpackHead(rows, shape.width, keys, count, shape);
    unpackHead(rows + shape.kvHeads * shape.headDim, shape.width, values, count, shape);
  }
};

inline int64_t headsPerItem(int64_t sequences, int threads, const TiledAttention& shape) {
  return sequences >= kSequencesPerThread * threads ? shape.kvHeads : 1;
}

inline int64_t longest(const int32_t* offsets, int64_t sequences) {
  int64_t result = 0;
  for (int64_t s = 0; s < sequences; ++s) result = std::max<int64_t>(result, offsets[s + 1] - offsets[s]);
  return result;
}

}  // namespace hdpo
