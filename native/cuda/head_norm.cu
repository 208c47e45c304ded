// QK-norm; native/cpu/head_norm.cpp has the shapes and equations. A few neighbouring lanes take one head, 16
// bytes each, where E allows (a power of two up to 128); with other sizes one warp takes one head.
#include <algorithm>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/head_norm.h"
#include "cuda/partial_sums.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kBackwardBlocks = 1056, kLeastRows = 4;
int64_t rowsPerBlock(int64_t rows) { return std::max(kLeastRows, blocksOf(rows, kBackwardBlocks)); }

template <typename T>
struct Heads {
  T* out;  // backward: gradQkv, in place
  float* inverseRms;
  const T* qkv;
  const float *queryWeight, *keyWeight;
  int64_t rows, heads, kvHeads, headDim;
  float epsilon;
  float* partials;  // backward: [blocks, 2, E]
  int64_t rowsPerBlock;

  __device__ int64_t all() const { return heads + 2 * kvHeads; }
  __device__ int64_t normed() const { return heads + kvHeads; }
};

// A lane's values of a head: if `packed` 16 bytes at lane * kPack, otherwise every 32nd value, up to 8.
constexpr int kMostValues = 8;

template <typename T, bool packed>
struct HeadValues {
  static constexpr int kCount = packed ? kPack<T> : kMostValues;
  float values[kCount];

  __device__ static int64_t index(int i, int lane) {
    return packed ? int64_t{lane} * kPack<T> + i : int64_t{i} * kWarp + lane;
  }
  __device__ void load(const T* head, int lane, int64_t headDim, bool active) {
    if constexpr (packed) {
      Pack<T> pack{};
      if (active) pack = loadPack(head + int64_t{lane} * kPack<T>);
#pragma unroll
      for (int i = 0; i < kCount; ++i) values[i] = toFloat(pack.values[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        values[i] = active && index(i, lane) < headDim ? toFloat(head[index(i, lane)]) : 0.0f;
      }
    }
  }
  __device__ void store(T* head, int lane, int64_t headDim) const {
    if constexpr (packed) {
      Pack<T> pack;
#pragma unroll
      for (int i = 0; i < kCount; ++i) pack.values[i] = fromFloat<T>(values[i]);
      storePack(head + int64_t{lane} * kPack<T>, pack);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (index(i, lane) < headDim) head[index(i, lane)] = fromFloat<T>(values[i]);
      }
    }
  }
};

template <typename T, bool packed>
__global__ void __launch_bounds__(kThreads) forward(Heads<T> given, int lanes) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int64_t item = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / lanes;
  const bool active = item < given.rows * given.all();
  const int64_t row = item / given.all(), head = item % given.all(), at = item * given.headDim;
  using Values = HeadValues<T, packed>;
  Values x;
  x.load(given.qkv + at, lane, given.headDim, active);
  float squares = 0;
#pragma unroll
  for (int i = 0; i < Values::kCount; ++i) squares += x.values[i] * x.values[i];
  squares = groupSum(squares, lanes);
  if (!active) return;
  if (head < given.normed()) {
    const float inverse = 1.0f / sqrtf(squares / static_cast<float>(given.headDim) + given.epsilon);
    const float* weight = head < given.heads ? given.queryWeight : given.keyWeight;
#pragma unroll
    for (int i = 0; i < Values::kCount; ++i) {
      const int64_t e = Values::index(i, lane);
      x.values[i] *= e < given.headDim ? inverse * weight[e] : 0.0f;
    }
    if (given.inverseRms && lane == 0) given.inverseRms[row * given.normed() + head] = inverse;
  } else if (given.out == given.qkv) {
    return;
  }
  x.store(given.out + at, lane, given.headDim);
}

// Takes a block's rows, head by head. Its sums of the weights' gradients go to shared memory [groups][2][E]
// at the end.
template <typename T, bool packed>
__global__ void __launch_bounds__(kThreads) backward(Heads<T> given, int lanes) {
  const int lane = static_cast<int>(threadIdx.x) % lanes, group = static_cast<int>(threadIdx.x) / lanes;
  const int groups = kThreads / lanes;
  const int64_t begin = blockIdx.x * given.rowsPerBlock;
  const int64_t end = begin + given.rowsPerBlock < given.rows ? begin + given.rowsPerBlock : given.rows;
  const int64_t items = (end - begin) * given.normed();
  using Values = HeadValues<T, packed>;
  float querySums[Values::kCount] = {}, keySums[Values::kCount] = {};
  for (int64_t first = 0; first < items; first += groups) {
    const int64_t item = first + group;
    const bool active = item < items;
    const int64_t row = begin + item / given.normed(), head = item % given.normed();
    const int64_t at = (row * given.all() + head) * given.headDim;
    const bool query = head < given.heads;
    const float* weight = query ? given.queryWeight : given.keyWeight;
    const float inverse = active ? given.inverseRms[row * given.normed() + head] : 0.0f;
    Values x, grad;
    x.load(given.qkv + at, lane, given.headDim, active);
    grad.load(given.out + at, lane, given.headDim, active);
    float scaled[Values::kCount], dot = 0;
#pragma unroll
    for (int i = 0; i < Values::kCount; ++i) {
      const int64_t e = Values::index(i, lane);
      scaled[i] = e < given.headDim ? grad.values[i] * weight[e] : 0.0f;
      dot += scaled[i] * x.values[i];
      const float share = grad.values[i] * x.values[i] * inverse;
      querySums[i] += query ? share : 0.0f;
      keySums[i] += query ? 0.0f : share;
    }
    const float pull = groupSum(dot, lanes) * inverse * inverse / static_cast<float>(given.headDim);
    if (!active) continue;
#pragma unroll
    for (int i = 0; i < Values::kCount; ++i) grad.values[i] = inverse * (scaled[i] - x.values[i] * pull);
    grad.store(given.out + at, lane, given.headDim);
  }
  if (!given.partials) return;
  float* sums = sharedMemory<float>();
  const auto width = static_cast<int>(2 * given.headDim);
#pragma unroll
  for (int i = 0; i < Values::kCount; ++i) {
    const int64_t e = Values::index(i, lane);
    if (e >= given.headDim) continue;
    sums[group * width + e] = querySums[i];
    sums[group * width + given.headDim + e] = keySums[i];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kThreads) {
    float sum = 0;
    for (int g = 0; g < groups; ++g) sum += sums[g * width + i];
    given.partials[int64_t{blockIdx.x} * width + i] = sum;
  }
}

template <typename T>
bool canPack(const HeadNormShape& shape, const T* a, const T* b) {
  const int64_t lanes = shape.headDim / kPack<T>;
  return inPacks<T>(shape.headDim, a, b) && lanes <= kWarp && (lanes & (lanes - 1)) == 0;
}

}  // namespace

template <typename T>
void headNorm(Stream stream, T* out, float* inverseRms, const T* qkv, const float* queryWeight,
              const float* keyWeight, const HeadNormShape& shape, float epsilon) {
  const Heads<T> given{out,         inverseRms,    qkv,           queryWeight, keyWeight, shape.rows,
                       shape.heads, shape.kvHeads, shape.headDim, epsilon,     nullptr,   0};
  const bool packed = canPack(shape, out, qkv);
  const int lanes = packed ? static_cast<int>(shape.headDim) / kPack<T> : kWarp;
  const int64_t items = shape.rows * (shape.heads + 2 * shape.kvHeads);
  launch(packed ? forward<T, true> : forward<T, false>,
         static_cast<unsigned>(blocksOf(items * lanes, kThreads)), kThreads, 0, stream, given, lanes);
}

size_t headNormBackwardWorkspaceBytes(const HeadNormShape& shape) {
  Workspace workspace;
  workspace.take<float>(blocksOf(shape.rows, rowsPerBlock(shape.rows)) * 2 * shape.headDim);
  return workspace.bytes();
}

template <typename T>
void headNormBackward(Stream stream, T* gradQkv, float* gradQueryWeight, float* gradKeyWeight, const T* qkv,
                      const float* queryWeight, const float* keyWeight, const float* inverseRms,
                      const HeadNormShape& shape, void* workspace) {
  const int64_t blocks = blocksOf(shape.rows, rowsPerBlock(shape.rows)), width = 2 * shape.headDim;
  float* partials = gradQueryWeight ? Workspace(workspace).take<float>(blocks * width) : nullptr;
  const Heads<T> given{gradQkv,       const_cast<float*>(inverseRms),
                       qkv,           queryWeight,
                       keyWeight,     shape.rows,
                       shape.heads,   shape.kvHeads,
                       shape.headDim, 0,
                       partials,      rowsPerBlock(shape.rows)};
  const bool packed = canPack(shape, static_cast<const T*>(gradQkv), qkv);
  const int lanes = packed ? static_cast<int>(shape.headDim) / kPack<T> : kWarp;
  const size_t sharedBytes = static_cast<size_t>(kThreads / lanes * width) * sizeof(float);
  launch(packed ? backward<T, true> : backward<T, false>, static_cast<unsigned>(blocks), kThreads,
         sharedBytes, stream, given, lanes);
  if (!partials) return;
  // A row of partials has the queries' sums beside the keys'.
  addPartialSums(stream, gradQueryWeight, partials, {blocks, shape.headDim}, width);
  addPartialSums(stream, gradKeyWeight, partials + shape.headDim, {blocks, shape.headDim}, width);
}

#define HDPO_INSTANTIATE(T)                                                                              \
  template void headNorm(Stream, T*, float*, const T*, const float*, const float*, const HeadNormShape&, \
                         float);                                                                         \
  template void headNormBackward(Stream, T*, float*, float*, const T*, const float*, const float*,       \
                                 const float*, const HeadNormShape&, void*);
HDPO_INSTANTIATE(float)
HDPO_INSTANTIATE(BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

void CudaBackend::headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv,
                           const Tensor& queryWeight, const Tensor& keyWeight, const AttentionShape& heads,
                           float epsilon) {
  const Scope scope(*this, "headNorm", 4.0 * static_cast<double>(qkv.count()));
  const HeadNormShape shape{heads, qkv.shape[0]};
  withType(qkv.dtype, "headNorm", [&](auto element) {
    using T = decltype(element);
    cuda::headNorm<T>(stream_, dataOf<T>(out), floats(inverseRms), dataOf<T>(qkv), floats(queryWeight),
                      floats(keyWeight), shape, epsilon);
  });
}

void CudaBackend::headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight,
                                   const Tensor& gradKeyWeight, const Tensor& qkv, const Tensor& queryWeight,
                                   const Tensor& keyWeight, const Tensor& inverseRms,
                                   const AttentionShape& heads) {
  const Scope scope(*this, "headNormBackward", 10.0 * static_cast<double>(qkv.count()));
  const HeadNormShape shape{heads, qkv.shape[0]};
  void* memory = workspace(headNormBackwardWorkspaceBytes(shape));
  withType(qkv.dtype, "headNormBackward", [&](auto element) {
    using T = decltype(element);
    cuda::headNormBackward<T>(stream_, dataOf<T>(gradQkv), floats(gradQueryWeight), floats(gradKeyWeight),
                              dataOf<T>(qkv), floats(queryWeight), floats(keyWeight), floats(inverseRms),
                              shape, memory);
  });
}

}  // namespace hdpo::cuda
