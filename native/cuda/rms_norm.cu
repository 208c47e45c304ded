// RMS normalisation of rows; native/cpu/rms_norm.cpp has the shapes and equations. A block keeps its row in
// registers, so that every tensor is moved once. Rows that are too wide or not aligned for that take plain
// loops over global memory.
#include <algorithm>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/partial_sums.h"
#include "cuda/reduce.h"
#include "cuda/rms_norm.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

// Elements of a row that a thread holds, in groups that fill a 16-byte access of the narrower type.
constexpr int kHeld = 16;
template <typename T>
constexpr int kGroup = kPack<T>;
template <typename T>
constexpr int kGroups = kHeld / kGroup<T>;
constexpr int kMostThreads = 1024, kMostBackwardThreads = 512;  // the backward pass needs twice the registers
constexpr int kPlainThreads = 256;
constexpr size_t kScratchBytes = kMostThreads / kWarp * sizeof(float);

// Blocks of the backward pass, each of which sums gradWeight over its rows. The number of rows alone decides
// them.
constexpr int64_t kBackwardBlocks = 1056, kLeastRows = 8;
int64_t rowsPerBlock(int64_t rows) { return std::max(kLeastRows, blocksOf(rows, kBackwardBlocks)); }

bool inRegisters(int64_t columns, int64_t mostThreads) { return columns <= mostThreads * kHeld; }
// The fewest warps that can hold a row, in threads.
unsigned threadsFor(int64_t columns) {
  unsigned threads = kWarp;
  while (int64_t{threads} * kHeld < columns) threads *= 2;
  return threads;
}

// The column of group g; a thread's groups lie a block's width apart.
template <typename T>
__device__ int64_t columnOf(int g) {
  return (int64_t{g} * blockDim.x + threadIdx.x) * kGroup<T>;
}

// `count` values that begin at an address, read as float. A float array takes as many 16-byte accesses as are
// needed.
template <typename T, int count>
struct Values {
  Pack<T> packs[count / kPack<T>];

  __device__ void load(const T* address) {
#pragma unroll
    for (int p = 0; p < count / kPack<T>; ++p) packs[p] = loadPack(address + p * kPack<T>);
  }
  __device__ void store(T* address) const {
#pragma unroll
    for (int p = 0; p < count / kPack<T>; ++p) storePack(address + p * kPack<T>, packs[p]);
  }
  __device__ float at(int i) const { return toFloat(packs[i / kPack<T>].values[i % kPack<T>]); }
  __device__ void set(int i, float value) { packs[i / kPack<T>].values[i % kPack<T>] = fromFloat<T>(value); }
};

template <typename T>
struct Forward {
  T* y;
  float* inverseRms;            // [R] or null
  float* x;                     // [R, C]; written where something is added
  const float *added, *weight;  // [R, C] or null; [C]
  int64_t columns;
  float epsilon;

  __device__ float inverseOf(float squares) const {
    return 1.0f / sqrtf(squares / static_cast<float>(columns) + epsilon);
  }
};

template <typename T>
__global__ void __launch_bounds__(kMostThreads) forwardInRegisters(Forward<T> given) {
  float* scratch = sharedMemory<float>();
  const int64_t columns = given.columns, begin = blockIdx.x * columns;
  Values<float, kGroup<T>> values[kGroups<T>];
#pragma unroll
  for (int g = 0; g < kGroups<T>; ++g) {
    if (columnOf<T>(g) < columns) values[g].load(given.x + begin + columnOf<T>(g));
  }
  if (given.added) {
#pragma unroll
    for (int g = 0; g < kGroups<T>; ++g) {
      const int64_t column = columnOf<T>(g);
      if (column >= columns) continue;
      Values<float, kGroup<T>> more;
      more.load(given.added + begin + column);
#pragma unroll
      for (int i = 0; i < kGroup<T>; ++i) values[g].set(i, values[g].at(i) + more.at(i));
      values[g].store(given.x + begin + column);
    }
  }
  float squares = 0;
#pragma unroll
  for (int g = 0; g < kGroups<T>; ++g) {
    if (columnOf<T>(g) >= columns) continue;
#pragma unroll
    for (int i = 0; i < kGroup<T>; ++i) squares += values[g].at(i) * values[g].at(i);
  }
  const float inverse = given.inverseOf(blockSum(squares, scratch));
#pragma unroll
  for (int g = 0; g < kGroups<T>; ++g) {
    const int64_t column = columnOf<T>(g);
    if (column >= columns) continue;
    Values<float, kGroup<T>> scale;
    scale.load(given.weight + column);
    Values<T, kGroup<T>> result;
#pragma unroll
    for (int i = 0; i < kGroup<T>; ++i) result.set(i, values[g].at(i) * inverse * scale.at(i));
    result.store(given.y + begin + column);
  }
  if (given.inverseRms && threadIdx.x == 0) given.inverseRms[blockIdx.x] = inverse;
}

template <typename T>
__global__ void __launch_bounds__(kPlainThreads) forwardPlain(Forward<T> given) {
  float* scratch = sharedMemory<float>();
  const int64_t columns = given.columns, begin = blockIdx.x * columns;
  float squares = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    float value = given.x[begin + c];
    if (given.added) given.x[begin + c] = value += given.added[begin + c];
    squares += value * value;
  }
  const float inverse = given.inverseOf(blockSum(squares, scratch));
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    given.y[begin + c] = fromFloat<T>(given.x[begin + c] * inverse * given.weight[c]);
  }
  if (given.inverseRms && threadIdx.x == 0) given.inverseRms[blockIdx.x] = inverse;
}

template <typename T>
struct Backward {
  float* gradX;
  bool accumulate;
  float* partials;  // [blocks, C] sums of gradWeight; null where the weight is frozen
  const T* gradY;
  const float *x, *weight, *inverseRms;
  int64_t rows, columns, rowsPerBlock;
};

template <typename T>
__global__ void __launch_bounds__(kMostBackwardThreads) backwardInRegisters(Backward<T> given) {
  float* scratch = sharedMemory<float>();
  const int64_t columns = given.columns, begin = blockIdx.x * given.rowsPerBlock;
  const int64_t end = begin + given.rowsPerBlock < given.rows ? begin + given.rowsPerBlock : given.rows;
  Values<float, kGroup<T>> sums[kGroups<T>] = {};
  for (int64_t row = begin; row < end; ++row) {
    Values<T, kGroup<T>> grads[kGroups<T>];
    Values<float, kGroup<T>> values[kGroups<T>];
#pragma unroll
    for (int g = 0; g < kGroups<T>; ++g) {
      const int64_t column = columnOf<T>(g);
      if (column >= columns) continue;
      grads[g].load(given.gradY + row * columns + column);
      values[g].load(given.x + row * columns + column);
    }
    const float inverse = given.inverseRms[row];
    float dot = 0;
#pragma unroll
    for (int g = 0; g < kGroups<T>; ++g) {
      if (columnOf<T>(g) >= columns) continue;
      Values<float, kGroup<T>> scale;
      scale.load(given.weight + columnOf<T>(g));
#pragma unroll
      for (int i = 0; i < kGroup<T>; ++i) {
        dot += grads[g].at(i) * scale.at(i) * values[g].at(i);
        sums[g].set(i, sums[g].at(i) + grads[g].at(i) * values[g].at(i) * inverse);
      }
    }
    const float pull = blockSum(dot, scratch) * inverse * inverse / static_cast<float>(columns);
#pragma unroll
    for (int g = 0; g < kGroups<T>; ++g) {
      const int64_t column = columnOf<T>(g);
      if (column >= columns) continue;
      Values<float, kGroup<T>> scale, result{};
      scale.load(given.weight + column);
      float* target = given.gradX + row * columns + column;
      if (given.accumulate) result.load(target);
#pragma unroll
      for (int i = 0; i < kGroup<T>; ++i) {
        const float grad = inverse * (grads[g].at(i) * scale.at(i) - values[g].at(i) * pull);
        result.set(i, given.accumulate ? result.at(i) + grad : grad);
      }
      result.store(target);
    }
  }
  if (!given.partials) return;
#pragma unroll
  for (int g = 0; g < kGroups<T>; ++g) {
    const int64_t column = columnOf<T>(g);
    if (column < columns) sums[g].store(given.partials + blockIdx.x * columns + column);
  }
}

template <typename T>
__global__ void __launch_bounds__(kPlainThreads) backwardPlain(Backward<T> given) {
  float* scratch = sharedMemory<float>();
  const int64_t row = blockIdx.x, columns = given.columns;
  const T* gradY = given.gradY + row * columns;
  const float* x = given.x + row * columns;
  const float inverse = given.inverseRms[row];
  float dot = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    dot += toFloat(gradY[c]) * given.weight[c] * x[c];
  }
  const float pull = blockSum(dot, scratch) * inverse * inverse / static_cast<float>(columns);
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    float* target = given.gradX + row * columns + c;
    const float grad = inverse * (toFloat(gradY[c]) * given.weight[c] - x[c] * pull);
    *target = given.accumulate ? *target + grad : grad;
  }
}

template <typename T>
__global__ void __launch_bounds__(kPlainThreads) weightSumsPlain(Backward<T> given, int64_t columnBlocks) {
  const int64_t block = blockIdx.x / columnBlocks, columns = given.columns;
  const int64_t column = blockIdx.x % columnBlocks * kPlainThreads + threadIdx.x;
  if (column >= columns) return;
  const int64_t begin = block * given.rowsPerBlock;
  const int64_t end = begin + given.rowsPerBlock < given.rows ? begin + given.rowsPerBlock : given.rows;
  float sum = 0;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * columns + column;
    sum += toFloat(given.gradY[at]) * given.x[at] * given.inverseRms[row];
  }
  given.partials[block * columns + column] = sum;
}

template <typename T>
void launchForward(Stream stream, const Forward<T>& given, int64_t rows) {
  const int64_t columns = given.columns;
  const bool registers =
      inRegisters(columns, kMostThreads) && inPacks<T>(columns, given.y, given.x, given.weight, given.added);
  launch(registers ? forwardInRegisters<T> : forwardPlain<T>, static_cast<unsigned>(rows),
         registers ? threadsFor(columns) : kPlainThreads, kScratchBytes, stream, given);
}

}  // namespace

template <typename T>
void rmsNorm(Stream stream, T* y, float* inverseRms, const float* x, const float* weight,
             const MatrixShape& shape, float epsilon) {
  launchForward<T>(stream, {y, inverseRms, const_cast<float*>(x), nullptr, weight, shape.columns, epsilon},
                   shape.rows);
}

template <typename T>
void addThenRmsNorm(Stream stream, T* y, float* x, const float* added, const float* weight,
                    const MatrixShape& shape, float epsilon) {
  launchForward<T>(stream, {y, nullptr, x, added, weight, shape.columns, epsilon}, shape.rows);
}

size_t rmsNormBackwardWorkspaceBytes(const MatrixShape& shape) {
  Workspace workspace;
  workspace.take<float>(blocksOf(shape.rows, rowsPerBlock(shape.rows)) * shape.columns);
  return workspace.bytes();
}

template <typename T>
void rmsNormBackward(Stream stream, float* gradX, bool accumulate, float* gradWeight, const T* gradY,
                     const float* x, const float* weight, const float* inverseRms, const MatrixShape& shape,
                     void* workspace) {
  const auto [rows, columns] = shape;
  const int64_t blocks = blocksOf(rows, rowsPerBlock(rows));
  float* partials = gradWeight ? Workspace(workspace).take<float>(blocks * columns) : nullptr;
  const Backward<T> given{gradX,  accumulate, partials, gradY,   x,
                          weight, inverseRms, rows,     columns, rowsPerBlock(rows)};
  if (inRegisters(columns, kMostBackwardThreads) && inPacks<T>(columns, gradX, gradY, x, weight)) {
    launch(backwardInRegisters<T>, static_cast<unsigned>(blocks), threadsFor(columns), kScratchBytes, stream,
           given);
  } else {
    // The sums come first, because gradX may be gradY.
    const int64_t columnBlocks = blocksOf(columns, kPlainThreads);
    if (partials) {
      launch(weightSumsPlain<T>, static_cast<unsigned>(blocks * columnBlocks), kPlainThreads, 0, stream,
             given, columnBlocks);
    }
    launch(backwardPlain<T>, static_cast<unsigned>(rows), kPlainThreads, kScratchBytes, stream, given);
  }
  if (gradWeight) addPartialSums(stream, gradWeight, partials, {blocks, columns});
}

#define HDPO_INSTANTIATE(T)                                                                                \
  template void rmsNorm(Stream, T*, float*, const float*, const float*, const MatrixShape&, float);        \
  template void addThenRmsNorm(Stream, T*, float*, const float*, const float*, const MatrixShape&, float); \
  template void rmsNormBackward(Stream, float*, bool, float*, const T*, const float*, const float*,        \
                                const float*, const MatrixShape&, void*);
HDPO_INSTANTIATE(float)
HDPO_INSTANTIATE(BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

void CudaBackend::rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
                          float epsilon) {
  const Scope scope(*this, "rmsNorm", 4.0 * static_cast<double>(x.count()));
  requireFloat32("rmsNorm", {x});
  withType(y.dtype, "rmsNorm", [&](auto element) {
    using T = decltype(element);
    cuda::rmsNorm<T>(stream_, dataOf<T>(y), floats(inverseRms), floats(x), floats(weight), matrixShape(x),
                     epsilon);
  });
}

void CudaBackend::addThenRmsNorm(const Tensor& y, const Tensor& stream, const Tensor& added,
                                 const Tensor& weight, float epsilon) {
  const Scope scope(*this, "addThenRmsNorm", 5.0 * static_cast<double>(stream.count()));
  requireFloat32("addThenRmsNorm", {stream, added});
  withType(y.dtype, "addThenRmsNorm", [&](auto element) {
    using T = decltype(element);
    cuda::addThenRmsNorm<T>(stream_, dataOf<T>(y), floats(stream), floats(added), floats(weight),
                            matrixShape(stream), epsilon);
  });
}

void CudaBackend::rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight,
                                  const Tensor& gradY, const Tensor& x, const Tensor& weight,
                                  const Tensor& inverseRms) {
  const Scope scope(*this, "rmsNormBackward", 10.0 * static_cast<double>(x.count()));
  void* memory = workspace(rmsNormBackwardWorkspaceBytes(matrixShape(x)));
  requireFloat32("rmsNormBackward", {x, gradX});
  withType(gradY.dtype, "rmsNormBackward", [&](auto element) {
    using T = decltype(element);
    cuda::rmsNormBackward<T>(stream_, floats(gradX), accumulate, floats(gradWeight), dataOf<T>(gradY),
                             floats(x), floats(weight), floats(inverseRms), matrixShape(x), memory);
  });
}

}  // namespace hdpo::cuda
