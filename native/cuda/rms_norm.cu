// RMS normalisation of rows; shapes and equations: native/cpu/rms_norm.cpp. A block keeps its row in
// registers, so that every tensor is moved once; rows too wide or not aligned for that take plain loops over
// global memory.
#include <algorithm>

#include "cuda/element.h"
#include "cuda/partial_sums.h"
#include "cuda/reduce.h"
#include "cuda/rms_norm.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kPacks = 4;                                       // of a row that a thread holds
constexpr int kMostThreads = 1024, kMostBackwardThreads = 512;  // the backward pass needs twice the registers
constexpr int kPlainThreads = 256;
constexpr size_t kScratchBytes = kMostThreads / kWarp * sizeof(float);

// Blocks of the backward pass: each sums gradWeight over its rows. Decided by the number of rows alone.
constexpr int64_t kBackwardBlocks = 1056, kLeastRows = 8;
int64_t rowsPerBlock(int64_t rows) { return std::max(kLeastRows, blocksOf(rows, kBackwardBlocks)); }

template <typename T>
bool inRegisters(int64_t columns, int64_t mostThreads) {
  return columns <= mostThreads * kPacks * kPack<T>;
}
// The fewest warps that hold a row.
template <typename T>
unsigned threadsFor(int64_t columns) {
  unsigned threads = kWarp;
  while (int64_t{threads} * kPacks * kPack<T> < columns) threads *= 2;
  return threads;
}

template <typename T>
struct RowRegisters {
  Pack<T> packs[kPacks];

  __device__ void load(const T* row, int64_t columns) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int64_t column = columnOf(p);
      if (column < columns) packs[p] = loadPack(row + column);
    }
  }
  __device__ static int64_t columnOf(int p) { return (int64_t{p} * blockDim.x + threadIdx.x) * kPack<T>; }
  __device__ float at(int p, int i) const { return toFloat(packs[p].values[i]); }
};

// The weight's values that belong to pack p.
template <typename T>
struct WeightPack {
  float values[kPack<T>];
  __device__ explicit WeightPack(const float* weight) {
#pragma unroll
    for (int i = 0; i < kPack<T>; i += 4) {
      const Pack<float> part = loadPack(weight + i);
#pragma unroll
      for (int e = 0; e < 4; ++e) values[i + e] = part.values[e];
    }
  }
};

template <typename T>
__global__ void __launch_bounds__(kMostThreads)
    forwardInRegisters(T* y, float* inverseRms, const T* x, const float* weight, int64_t columns,
                       float epsilon) {
  float* scratch = sharedMemory<float>();
  const int64_t row = blockIdx.x;
  RowRegisters<T> values;
  values.load(x + row * columns, columns);
  float squares = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    if (values.columnOf(p) >= columns) continue;
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) squares += values.at(p, i) * values.at(p, i);
  }
  const float inverse = 1.0f / sqrtf(blockSum(squares, scratch) / static_cast<float>(columns) + epsilon);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = values.columnOf(p);
    if (column >= columns) continue;
    const WeightPack<T> scale(weight + column);
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i)
      result.values[i] = fromFloat<T>(values.at(p, i) * inverse * scale.values[i]);
    storePack(y + row * columns + column, result);
  }
  if (inverseRms && threadIdx.x == 0) inverseRms[row] = inverse;
}

template <typename T>
__global__ void __launch_bounds__(kPlainThreads)
    forwardPlain(T* y, float* inverseRms, const T* x, const float* weight, int64_t columns, float epsilon) {
  float* scratch = sharedMemory<float>();
  const int64_t row = blockIdx.x;
  float squares = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    const float value = toFloat(x[row * columns + c]);
    squares += value * value;
  }
  const float inverse = 1.0f / sqrtf(blockSum(squares, scratch) / static_cast<float>(columns) + epsilon);
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    y[row * columns + c] = fromFloat<T>(toFloat(x[row * columns + c]) * inverse * weight[c]);
  }
  if (inverseRms && threadIdx.x == 0) inverseRms[row] = inverse;
}

template <typename T>
struct Backward {
  T* gradX;
  bool accumulate;
  float* partials;  // [blocks, C] sums of gradWeight; null: frozen
  const T *gradY, *x;
  const float *weight, *inverseRms;
  int64_t rows, columns, rowsPerBlock;
};

template <typename T>
__global__ void __launch_bounds__(kMostBackwardThreads) backwardInRegisters(Backward<T> given) {
  float* scratch = sharedMemory<float>();
  const int64_t columns = given.columns, begin = blockIdx.x * given.rowsPerBlock;
  const int64_t end = begin + given.rowsPerBlock < given.rows ? begin + given.rowsPerBlock : given.rows;
  float sums[kPacks][kPack<T>] = {};
  for (int64_t row = begin; row < end; ++row) {
    RowRegisters<T> grads, values;
    grads.load(given.gradY + row * columns, columns);
    values.load(given.x + row * columns, columns);
    const float inverse = given.inverseRms[row];
    float dot = 0;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (values.columnOf(p) >= columns) continue;
      const WeightPack<T> scale(given.weight + values.columnOf(p));
#pragma unroll
      for (int i = 0; i < kPack<T>; ++i) {
        dot += grads.at(p, i) * scale.values[i] * values.at(p, i);
        sums[p][i] += grads.at(p, i) * values.at(p, i) * inverse;
      }
    }
    const float pull = blockSum(dot, scratch) * inverse * inverse / static_cast<float>(columns);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int64_t column = values.columnOf(p);
      if (column >= columns) continue;
      const WeightPack<T> scale(given.weight + column);
      T* target = given.gradX + row * columns + column;
      Pack<T> result;
      if (given.accumulate) result = loadPack(target);
#pragma unroll
      for (int i = 0; i < kPack<T>; ++i) {
        const float grad = inverse * (grads.at(p, i) * scale.values[i] - values.at(p, i) * pull);
        result.values[i] = fromFloat<T>(given.accumulate ? toFloat(result.values[i]) + grad : grad);
      }
      storePack(target, result);
    }
  }
  if (!given.partials) return;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = RowRegisters<T>::columnOf(p);
    if (column >= columns) continue;
#pragma unroll
    for (int i = 0; i < kPack<T>; i += 4) {
      const Pack<float> part{{sums[p][i], sums[p][i + 1], sums[p][i + 2], sums[p][i + 3]}};
      storePack(given.partials + blockIdx.x * columns + column + i, part);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kPlainThreads) backwardPlain(Backward<T> given) {
  float* scratch = sharedMemory<float>();
  const int64_t row = blockIdx.x, columns = given.columns;
  const T *gradY = given.gradY + row * columns, *x = given.x + row * columns;
  const float inverse = given.inverseRms[row];
  float dot = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    dot += toFloat(gradY[c]) * given.weight[c] * toFloat(x[c]);
  }
  const float pull = blockSum(dot, scratch) * inverse * inverse / static_cast<float>(columns);
  for (int64_t c = threadIdx.x; c < columns; c += kPlainThreads) {
    T* target = given.gradX + row * columns + c;
    const float grad = inverse * (toFloat(gradY[c]) * given.weight[c] - toFloat(x[c]) * pull);
    *target = fromFloat<T>(given.accumulate ? toFloat(*target) + grad : grad);
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
    sum += toFloat(given.gradY[at]) * toFloat(given.x[at]) * given.inverseRms[row];
  }
  given.partials[block * columns + column] = sum;
}

}  // namespace

template <typename T>
void rmsNorm(Stream stream, T* y, float* inverseRms, const T* x, const float* weight, int64_t rows,
             int64_t columns, float epsilon) {
  const bool registers = inRegisters<T>(columns, kMostThreads) && inPacks<T>(columns, y, x, weight);
  const auto kernel = registers ? forwardInRegisters<T> : forwardPlain<T>;
  launch(kernel, static_cast<unsigned>(rows), registers ? threadsFor<T>(columns) : kPlainThreads,
         kScratchBytes, stream, y, inverseRms, x, weight, columns, epsilon);
}

size_t rmsNormBackwardWorkspaceBytes(int64_t rows, int64_t columns) {
  Workspace workspace;
  workspace.take<float>(blocksOf(rows, rowsPerBlock(rows)) * columns);
  return workspace.bytes();
}

template <typename T>
void rmsNormBackward(Stream stream, T* gradX, bool accumulate, float* gradWeight, const T* gradY, const T* x,
                     const float* weight, const float* inverseRms, int64_t rows, int64_t columns,
                     void* workspace) {
  const int64_t blocks = blocksOf(rows, rowsPerBlock(rows));
  float* partials = gradWeight ? Workspace(workspace).take<float>(blocks * columns) : nullptr;
  const Backward<T> given{gradX,  accumulate, partials, gradY,   x,
                          weight, inverseRms, rows,     columns, rowsPerBlock(rows)};
  if (inRegisters<T>(columns, kMostBackwardThreads) && inPacks<T>(columns, gradX, gradY, x, weight)) {
    launch(backwardInRegisters<T>, static_cast<unsigned>(blocks), threadsFor<T>(columns), kScratchBytes,
           stream, given);
  } else {
    // Sums first: gradX may be gradY.
    const int64_t columnBlocks = blocksOf(columns, kPlainThreads);
    if (partials) {
      launch(weightSumsPlain<T>, static_cast<unsigned>(blocks * columnBlocks), kPlainThreads, 0, stream,
             given, columnBlocks);
    }
    launch(backwardPlain<T>, static_cast<unsigned>(rows), kPlainThreads, kScratchBytes, stream, given);
  }
  if (gradWeight) addPartialSums(stream, gradWeight, partials, blocks, columns);
}

#define HDPO_INSTANTIATE(T)                                                                               \
  template void rmsNorm(Stream, T*, float*, const T*, const float*, int64_t, int64_t, float);             \
  template void rmsNormBackward(Stream, T*, bool, float*, const T*, const T*, const float*, const float*, \
                                int64_t, int64_t, void*);
HDPO_INSTANTIATE(float)
HDPO_INSTANTIATE(BFloat16)
#undef HDPO_INSTANTIATE

}  // namespace hdpo::cuda
