// Bias, QK-norm, rotary and the write to the cache in one launch, because at few rows a decoding step takes
// as long as it has launches. One head belongs to a few neighbouring lanes, which hold pairs (i, i + E / 2):
// 16 bytes of either half where E allows (E / 2 a power of two of packs), otherwise every 32nd pair. Values
// are rounded to T between the four steps, as the training forward has them in memory: logprobs of sampling
// and of training are to differ by as little as can be.
#include "cuda/cache_layout.h"
#include "cuda/cached_heads.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/reduce.h"
#include "cuda/rotary_angle.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kMostPairs = 4;  // per lane, where it takes every 32nd

template <typename T, typename C>
struct Heads {
  C* cache;
  T* qkv;
  HeadPlacement placement;
  CachedRows rows;
  AttentionShape shape;

  int64_t all;  // heads per row: H + 2K
};

// The pairs of one lane: `first` holds elements index(i), `second` elements index(i) + half.
template <typename T, bool packed>
struct Pairs {
  static constexpr int kCount = packed ? kPack<T> : kMostPairs;
  float first[kCount], second[kCount];

  __device__ static int64_t index(int i, int lane) {
    return packed ? int64_t{lane} * kPack<T> + i : int64_t{i} * kWarp + lane;
  }
  __device__ void load(const T* head, int lane, int64_t half, bool active) {
    if constexpr (packed) {
      Pack<T> left{}, right{};
      if (active) left = loadPack(head + index(0, lane));
      if (active) right = loadPack(head + half + index(0, lane));
#pragma unroll
      for (int i = 0; i < kCount; ++i)
        first[i] = toFloat(left.values[i]), second[i] = toFloat(right.values[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const bool here = active && index(i, lane) < half;
        first[i] = here ? toFloat(head[index(i, lane)]) : 0.0f;
        second[i] = here ? toFloat(head[half + index(i, lane)]) : 0.0f;
      }
    }
  }
  template <typename To>
  __device__ void store(To* head, int lane, int64_t half) const {
    if constexpr (packed) {
      struct alignas(kCount * sizeof(To)) Group {
        To values[kCount];
      } left, right;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        left.values[i] = fromFloat<To>(first[i]);
        right.values[i] = fromFloat<To>(second[i]);
      }
      *reinterpret_cast<Group*>(head + index(0, lane)) = left;
      *reinterpret_cast<Group*>(head + half + index(0, lane)) = right;
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (index(i, lane) >= half) continue;
        head[index(i, lane)] = fromFloat<To>(first[i]);
        head[half + index(i, lane)] = fromFloat<To>(second[i]);
      }
    }
  }
};

template <typename T>
__device__ float roundedTo(float value) {
  return toFloat(fromFloat<T>(value));
}

template <typename T, typename C, bool packed>
__global__ void __launch_bounds__(kThreads) placeHeads(Heads<T, C> given, int lanes) {
  using Own = Pairs<T, packed>;
  const HeadPlacement& placement = given.placement;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int64_t item = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / lanes;
  const bool active = item < given.rows.rows * given.all;
  const int64_t row = item / given.all, head = item % given.all;
  const int64_t headDim = given.shape.headDim, half = headDim / 2, heads = given.shape.heads;
  const bool positioned = head < heads + given.shape.kvHeads;
  Own x;
  x.load(given.qkv + item * headDim, lane, half, active);
  if (placement.bias && active) {
    const float* bias = placement.bias + head * headDim;
#pragma unroll
    for (int i = 0; i < Own::kCount; ++i) {
      if (Own::index(i, lane) >= half) continue;
      x.first[i] = roundedTo<T>(x.first[i] + bias[Own::index(i, lane)]);
      x.second[i] = roundedTo<T>(x.second[i] + bias[half + Own::index(i, lane)]);
    }
  }
  if (placement.queryNorm) {  // the same for the whole grid: every lane takes part in the sums
    float squares = 0;
#pragma unroll
    for (int i = 0; i < Own::kCount; ++i) squares += x.first[i] * x.first[i] + x.second[i] * x.second[i];
    const float inverse =
        1.0f / sqrtf(groupSum(squares, lanes) / static_cast<float>(headDim) + placement.epsilon);
    const float* weight = head < heads ? placement.queryNorm : placement.keyNorm;
#pragma unroll
    for (int i = 0; i < Own::kCount; ++i) {
      if (!positioned || Own::index(i, lane) >= half) continue;
      x.first[i] = roundedTo<T>(x.first[i] * (inverse * weight[Own::index(i, lane)]));
      x.second[i] = roundedTo<T>(x.second[i] * (inverse * weight[half + Own::index(i, lane)]));
    }
  }
  if (!active) return;
  if (positioned) {
    const double position = placement.positions[row];
#pragma unroll
    for (int i = 0; i < Own::kCount; ++i) {
      if (Own::index(i, lane) >= half) continue;
      const Angle angle = rotaryAngle(position, placement.inverseFrequencies[Own::index(i, lane)]);
      const float a = x.first[i], b = x.second[i];
      x.first[i] = a * angle.cosine - b * angle.sine;
      x.second[i] = b * angle.cosine + a * angle.sine;
    }
  }
  if (head < heads) return x.store(given.qkv + item * headDim, lane, half);
  const int64_t length = given.rows.lengths[row];
  if (length == 0) return;  // a padding row, added to a step to make it as large as another
  const int64_t kvHead = (head - heads) % given.shape.kvHeads;
  const int64_t key = keyPlace(given.rows, given.shape, row, length - 1, kvHead);
  x.store(given.cache + key + (positioned ? 0 : valuesBehindKeys(given.shape)), lane, half);
}

}  // namespace

template <typename T, typename C>
void cacheHeads(Stream stream, C* cache, T* qkv, const HeadPlacement& placement, const CachedRows& rows,
                const AttentionShape& shape) {
  const Heads<T, C> given{cache, qkv, placement, rows, shape, shape.heads + 2 * shape.kvHeads};
  const int64_t half = shape.headDim / 2, packs = half / kPack<T>;
  const bool packed =
      inPacks<T>(half, qkv, cache) && packs > 0 && packs <= kWarp && (packs & (packs - 1)) == 0;
  const int lanes = packed ? static_cast<int>(packs) : kWarp;
  launch(packed ? placeHeads<T, C, true> : placeHeads<T, C, false>,
         static_cast<unsigned>(blocksOf(rows.rows * given.all * lanes, kThreads)), kThreads, 0, stream, given,
         lanes);
}

#define HDPO_INSTANTIATE(T, C) \
  template void cacheHeads(Stream, C*, T*, const HeadPlacement&, const CachedRows&, const AttentionShape&);
HDPO_INSTANTIATE(float, float)
HDPO_INSTANTIATE(float, BFloat16)
HDPO_INSTANTIATE(BFloat16, BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

void CudaBackend::cacheHeads(const Tensor& cache, const Tensor& qkv, const HeadPreparation& preparation,
                             const CachedAttentionRow* rows, const AttentionShape& shape) {
  const Scope scope(*this, "cacheHeads");
  requireCachedHeads(shape);
  const auto count = static_cast<size_t>(qkv.shape[0]);
  const auto uploaded =
      upload({{preparation.positions, count * sizeof(int32_t)},
              {preparation.inverseFrequencies, static_cast<size_t>(shape.headDim / 2) * sizeof(float)}});
  HeadPlacement placement;
  placement.bias = floats(preparation.bias);
  placement.queryNorm = floats(preparation.queryNorm);
  placement.keyNorm = floats(preparation.keyNorm);
  placement.epsilon = preparation.epsilon;
  placement.positions = static_cast<const int32_t*>(uploaded[0]);
  placement.inverseFrequencies = static_cast<const float*>(uploaded[1]);
  const CachedRows cachedRows = upload(rows, qkv.shape[0]);
  withCacheTypes(qkv.dtype, cache.dtype, "cacheHeads", [&](auto element, auto cached) {
    using T = decltype(element);
    using C = decltype(cached);
    cuda::cacheHeads<T, C>(stream_, dataOf<C>(cache), dataOf<T>(qkv), placement, cachedRows, shape);
  });
}

}  // namespace hdpo::cuda
