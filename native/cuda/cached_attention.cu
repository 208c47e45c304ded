// Attention of single rows over the paged cache. A block takes one row, the query heads of one key head and a
// fixed stretch of the row's tokens, so that a single long sequence fills the device too and a row's sums do
// not depend on its batch:
//   1. scores of the stretch: neighbouring lanes share a key, and each reads 16 bytes where E allows
//   2. softmax of the stretch: one warp per head
//   3. weighted values
// A row with a single stretch is then done. A second kernel adds up the stretches of the other rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/cache_layout.h"
#include "cuda/cached_attention.h"
#include "cuda/cached_prefill.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kStretch = static_cast<int>(kCachedStretch);
constexpr int kMostGroupHeads = 8;  // heads that one block can take
constexpr int kMostValues = 8;      // values of a key that one lane holds
constexpr float kLog2E = 1.44269504088896341f;

struct Stretch {
  float largest, total;  // largest scaled score, in powers of two; sum of 2^(score - largest)
};

template <typename T, typename C>
struct Cached {
  T* out;
  const C* cache;
  const T* qkv;
  CachedRows rows;
  AttentionShape shape;
  int64_t firstRow, rowCount;  // the part of the n rows that this launch is for
  int64_t stretches;           // stretches of the longest row
  float* sums;                 // [n, stretches, H, E]
  Stretch* parts;              // [n, stretches, H]
  int lanes;                   // lanes that share a key
  float scale;                 // of scores, in powers of two

  __device__ int64_t rowAt(int64_t item) const {
    return rows.tiles ? rows.singles[firstRow + item] : firstRow + item;
  }
  __device__ int64_t width() const { return (shape.heads + 2 * shape.kvHeads) * shape.headDim; }
  __device__ int64_t keyAt(int64_t row, int64_t token, int64_t kvHead) const {
    return keyPlace(rows, shape, row, token, kvHead);
  }
};

template <typename T, typename C>
__global__ void __launch_bounds__(kThreads) writeRows(Cached<T, C> given) {
  const int64_t rowValues = given.shape.kvHeads * given.shape.headDim;  // of a row's keys, and of its values
  const int64_t item = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= given.rows.rows * rowValues) return;
  const int64_t row = item / rowValues, kvHead = item % rowValues / given.shape.headDim,
                e = item % given.shape.headDim;
  const int64_t length = given.rows.lengths[row];
  if (length == 0) return;
  C* target = const_cast<C*>(given.cache) + given.keyAt(row, length - 1, kvHead) + e;
  const T* key = given.qkv + row * given.width() + (given.shape.heads + kvHead) * given.shape.headDim + e;
  target[0] = fromFloat<C>(toFloat(key[0]));
  target[valuesBehindKeys(given.shape)] = fromFloat<C>(toFloat(key[rowValues]));
}

// A lane's part of a key or value: if `packed` 16 bytes at lane * kPack, otherwise every 32nd element.
template <typename C, bool packed>
struct Share {
  static constexpr int kCount = packed ? kPack<C> : kMostValues;
  __device__ static int64_t index(int i, int lane) {
    return packed ? int64_t{lane} * kPack<C> + i : int64_t{i} * kWarp + lane;
  }

  __device__ static void load(float (&values)[kCount], const C* vector, int lane, int64_t headDim) {
    if constexpr (packed) {
      Pack<C> pack{};
      if (index(0, lane) < headDim) pack = loadPack(vector + index(0, lane));
#pragma unroll
      for (int i = 0; i < kCount; ++i) values[i] = toFloat(pack.values[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i)
        values[i] = index(i, lane) < headDim ? toFloat(vector[index(i, lane)]) : 0.0f;
    }
  }
};

// The grid is (n * K, stretches, parts of the group's heads). kResident is the number of blocks that a
// multiprocessor should hold: registers per thread beyond what this leaves would not be used.
template <int heads>
constexpr int kResident = heads <= 2   ? 5
                          : heads == 4 ? 4
                                       : 3;

template <typename T, typename C, int heads, bool packed>
__global__ void __launch_bounds__(kThreads, kResident<heads>) attendStretch(Cached<T, C> given) {
  using Lanes = Share<C, packed>;
  constexpr int kCount = Lanes::kCount;
  const auto kvHeads = static_cast<unsigned>(given.shape.kvHeads);
  const int64_t item = blockIdx.x / kvHeads, row = given.rowAt(item), kvHead = blockIdx.x % kvHeads;
  const int64_t begin = int64_t{blockIdx.y} * kStretch, headDim = given.shape.headDim;
  const int64_t length = given.rows.lengths[row];
  if (begin >= length) return;
  const int tokens = static_cast<int>(length - begin < kStretch ? length - begin : kStretch);
  const auto groupHeads = static_cast<int>(static_cast<unsigned>(given.shape.heads) / kvHeads);
  const int firstHead = static_cast<int>(blockIdx.z) * heads;  // index in the group
  const int here = groupHeads - firstHead < heads ? groupHeads - firstHead : heads;
  const int lane = static_cast<int>(threadIdx.x) % given.lanes,
            group = static_cast<int>(threadIdx.x) / given.lanes;
  const int groups = kThreads / given.lanes;

  float* scores = sharedMemory<float>();        // [heads][kStretch]
  float* gathered = scores + heads * kStretch;  // [groups][kCount * lanes]
  const T* query = given.qkv + row * given.width() + (kvHead * groupHeads + firstHead) * headDim;
  {
    float queries[heads][kCount];
#pragma unroll
    for (int h = 0; h < heads; ++h) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int64_t e = Lanes::index(i, lane);
        queries[h][i] = h < here && e < headDim ? toFloat(query[h * headDim + e]) * given.scale : 0.0f;
      }
    }
    // Whole warps go through the loop, because the lanes of a warp add up together.
#pragma unroll 4
    for (int first = 0; first < tokens; first += groups) {
      const int token = first + group;
      float key[kCount] = {};
      if (token < tokens)
        Lanes::load(key, given.cache + given.keyAt(row, begin + token, kvHead), lane, headDim);
#pragma unroll
      for (int h = 0; h < heads; ++h) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < kCount; ++i) sum += queries[h][i] * key[i];
        sum = groupSum(sum, given.lanes);
        if (lane == 0 && token < tokens) scores[h * kStretch + token] = sum;
      }
    }
  }
  __syncthreads();
  const int64_t part =
      (item * given.stretches + blockIdx.y) * given.shape.heads + kvHead * groupHeads + firstHead;
  for (int h = static_cast<int>(threadIdx.x) / kWarp; h < here; h += kWarps) {
    float* own = scores + h * kStretch;
    float largest = -std::numeric_limits<float>::infinity(), total = 0;
    for (int t = static_cast<int>(threadIdx.x) % kWarp; t < tokens; t += kWarp)
      largest = fmaxf(largest, own[t]);
    largest = warpReduce(largest, Largest());
    for (int t = static_cast<int>(threadIdx.x) % kWarp; t < tokens; t += kWarp) {
      own[t] = exp2f(own[t] - largest);
      total += own[t];
    }
    total = warpSum(total);
    if (threadIdx.x % kWarp == 0) given.parts[part + h] = {largest, total};
    if (length <= kStretch) {  // this is the only stretch
      __syncwarp();
      const float inverse = __fdividef(1.0f, total);
      for (int t = static_cast<int>(threadIdx.x) % kWarp; t < tokens; t += kWarp) own[t] *= inverse;
    }
  }
  __syncthreads();
  float sums[heads][kCount] = {};
#pragma unroll 4
  for (int token = group; token < tokens; token += groups) {
    float value[kCount];
    Lanes::load(value, given.cache + given.keyAt(row, begin + token, kvHead) + valuesBehindKeys(given.shape),
                lane, headDim);
#pragma unroll
    for (int h = 0; h < heads; ++h) {
      const float weight = h < here ? scores[h * kStretch + token] : 0.0f;
#pragma unroll
      for (int i = 0; i < kCount; ++i) sums[h][i] += weight * value[i];
    }
  }
  const int width = kCount * given.lanes;
#pragma unroll
  for (int h = 0; h < heads; ++h) {
    if (h >= here) break;
#pragma unroll
    for (int i = 0; i < kCount; ++i) gathered[group * width + Lanes::index(i, lane)] = sums[h][i];
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < headDim; e += kThreads) {
      float sum = 0;
      for (int g = 0; g < groups; ++g) sum += gathered[g * width + e];
      if (length <= kStretch) {
        given.out[(row * given.shape.heads + kvHead * groupHeads + firstHead + h) * headDim + e] =
            fromFloat<T>(sum);
      } else {
        given.sums[(part + h) * headDim + e] = sum;
      }
    }
    __syncthreads();
  }
}

// One block per row and head.
template <typename T, typename C>
__global__ void __launch_bounds__(kThreads) addStretches(Cached<T, C> given) {
  const auto heads = static_cast<unsigned>(given.shape.heads);
  const int64_t item = blockIdx.x / heads, row = given.rowAt(item), head = blockIdx.x % heads;
  const int64_t length = given.rows.lengths[row], headDim = given.shape.headDim;
  if (length <= kStretch) return;
  const int64_t count = (length + kStretch - 1) / kStretch;
  const auto partOf = [&](int64_t stretch) {
    return (item * given.stretches + stretch) * given.shape.heads + head;
  };
  float largest = given.parts[partOf(0)].largest, total = 0;
  for (int64_t s = 1; s < count; ++s) largest = fmaxf(largest, given.parts[partOf(s)].largest);
  for (int64_t s = 0; s < count; ++s) {
    const Stretch part = given.parts[partOf(s)];
    total += part.total * exp2f(part.largest - largest);
  }
  for (int64_t e = threadIdx.x; e < headDim; e += kThreads) {
    float sum = 0;
    for (int64_t s = 0; s < count; ++s) {
      sum += given.sums[partOf(s) * headDim + e] * exp2f(given.parts[partOf(s)].largest - largest);
    }
    given.out[(row * given.shape.heads + head) * headDim + e] = fromFloat<T>(sum / total);
  }
}

int64_t longestOf(const CachedRows& rows) { return rows.tiles ? rows.longestSingle : rows.longest; }

template <typename T, typename C>
Cached<T, C> describe(Workspace& workspace, const CachedRows& rows, const AttentionShape& shape,
                      int64_t rowCount) {
  Cached<T, C> given{};
  given.rows = rows;
  given.shape = shape;
  given.rowCount = rowCount;
  given.stretches = blocksOf(longestOf(rows), kStretch);
  given.scale = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(shape.headDim)));
  const int64_t parts = rowCount * given.stretches * shape.heads;
  given.parts = workspace.take<Stretch>(parts);
  if (given.stretches > 1) given.sums = workspace.take<float>(parts * shape.headDim);
  return given;
}

template <typename T, typename C, int heads, bool packed>
void launchStretches(Stream stream, const Cached<T, C>& given) {
  const int64_t groupHeads = given.shape.heads / given.shape.kvHeads;
  const dim3 grid(static_cast<unsigned>(given.rowCount * given.shape.kvHeads),
                  static_cast<unsigned>(given.stretches), static_cast<unsigned>(blocksOf(groupHeads, heads)));
  constexpr size_t kSharedBytes = sizeof(float) * (heads * kStretch + kThreads * Share<C, packed>::kCount);
  launch(attendStretch<T, C, heads, packed>, grid, kThreads, kSharedBytes, stream, given);
}

template <typename T, typename C, bool packed>
void launchForHeads(Stream stream, const Cached<T, C>& given) {
  const int64_t groupHeads = given.shape.heads / given.shape.kvHeads;
  if (groupHeads <= 1) return launchStretches<T, C, 1, packed>(stream, given);
  if (groupHeads <= 2) return launchStretches<T, C, 2, packed>(stream, given);
  if (groupHeads <= 4) return launchStretches<T, C, 4, packed>(stream, given);
  return launchStretches<T, C, kMostGroupHeads, packed>(stream, given);
}

int64_t countOf(const CachedRows& rows) { return rows.tiles ? rows.singleCount : rows.rows; }

// How many rows are attended to at a time.
int64_t rowsAtOnce(const CachedRows& rows, const AttentionShape& shape, size_t limit) {
  Workspace one;
  describe<float, float>(one, rows, shape, 1);
  const auto most = static_cast<int64_t>(limit / std::max<size_t>(1, one.bytes()));
  return std::min(countOf(rows), std::max<int64_t>(1, most));
}

template <typename T, typename C>
void attend(Stream stream, const Cached<T, C>& given, bool packed) {
  if (packed) {
    launchForHeads<T, C, true>(stream, given);
  } else {
    launchForHeads<T, C, false>(stream, given);
  }
  if (given.stretches == 1) return;
  launch(addStretches<T, C>, static_cast<unsigned>(given.rowCount * given.shape.heads), kThreads, 0, stream,
         given);
}

}  // namespace

void requireCachedHeads(const AttentionShape& shape) {
  require(shape.headDim <= 256 && shape.heads / shape.kvHeads <= 16, "ERR_NOT_IMPLEMENTED",
          "attention over the cache on CUDA has kernels for a headDim up to 256 and 16 query heads a key "
          "head, not for " +
              std::to_string(shape.headDim) + " and " + std::to_string(shape.heads / shape.kvHeads));
}

template <typename T, typename C>
void writeCache(Stream stream, C* cache, const T* qkv, const CachedRows& rows, const AttentionShape& shape) {
  Cached<T, C> given{};
  given.cache = cache;
  given.qkv = qkv;
  given.rows = rows;
  given.shape = shape;
  const int64_t items = rows.rows * shape.kvHeads * shape.headDim;
  launch(writeRows<T, C>, static_cast<unsigned>(blocksOf(items, kThreads)), kThreads, 0, stream, given);
}

size_t cachedAttentionWorkspaceBytes(const CachedRows& rows, const AttentionShape& shape, size_t limit) {
  Workspace workspace;
  describe<float, float>(workspace, rows, shape, rowsAtOnce(rows, shape, limit));
  return workspace.bytes();
}

template <typename T, typename C>
void cachedAttention(Stream stream, T* out, const C* cache, const T* qkv, const CachedRows& rows,
                     const AttentionShape& shape, void* workspace, size_t limit) {
  if (countOf(rows) == 0 || longestOf(rows) == 0) return;
  const int64_t atOnce = rowsAtOnce(rows, shape, limit);
  Workspace memory(workspace);
  Cached<T, C> given = describe<T, C>(memory, rows, shape, atOnce);
  given.out = out;
  given.cache = cache;
  given.qkv = qkv;
  int lanes = 1;
  while (lanes * kPack<C> < shape.headDim) lanes *= 2;
  const bool packed = inPacks<C>(shape.headDim, cache) && lanes <= kWarp;
  given.lanes = packed ? lanes : kWarp;
  for (; given.firstRow < countOf(rows); given.firstRow += atOnce) {
    given.rowCount = std::min(atOnce, countOf(rows) - given.firstRow);
    attend(stream, given, packed);
  }
}

#define HDPO_INSTANTIATE(T, C)                                                                            \
  template void writeCache(Stream, C*, const T*, const CachedRows&, const AttentionShape&);               \
  template void cachedAttention(Stream, T*, const C*, const T*, const CachedRows&, const AttentionShape&, \
                                void*, size_t);
HDPO_INSTANTIATE(float, float)
HDPO_INSTANTIATE(float, BFloat16)
HDPO_INSTANTIATE(BFloat16, BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

void CudaBackend::writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                             const AttentionShape& shape) {
  const Scope scope(*this, "writeCache");
  const CachedRows uploaded = upload(rows, qkv.shape[0]);
  withCacheTypes(qkv.dtype, cache.dtype, "writeCache", [&](auto element, auto cached) {
    using T = decltype(element);
    using C = decltype(cached);
    cuda::writeCache<T, C>(stream_, dataOf<C>(cache), dataOf<T>(qkv), uploaded, shape);
  });
}

void CudaBackend::cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                                  const CachedAttentionRow* rows, const AttentionShape& shape) {
  const Scope scope(*this, "cachedAttention");
  requireCachedHeads(shape);
  CachedRows uploaded = upload(rows, qkv.shape[0]);
  if (!supportsPrefill(shape, qkv.dtype == cache.dtype)) uploaded.tiles = nullptr;
  if (uploaded.tiles) {
    withType(qkv.dtype, "cachedAttention", [&](auto element) {
      using T = decltype(element);
      cachedPrefill<T>(stream_, dataOf<T>(out), dataOf<T>(cache), dataOf<T>(qkv), uploaded, shape);
    });
  }
  void* memory = workspace(cachedAttentionWorkspaceBytes(uploaded, shape));
  withCacheTypes(qkv.dtype, cache.dtype, "cachedAttention", [&](auto element, auto cached) {
    using T = decltype(element);
    using C = decltype(cached);
    cuda::cachedAttention<T, C>(stream_, dataOf<T>(out), dataOf<C>(cache), dataOf<T>(qkv), uploaded, shape,
                                memory);
  });
}

}  // namespace hdpo::cuda
