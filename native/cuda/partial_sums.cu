#include "cuda/partial_sums.h"
#include "cuda/reduce.h"

namespace hdpo::cuda {

namespace {

constexpr int kColumns = 32, kRows = 8;  // per block of threads

// A thread of row r adds partials r, r + kRows, ... The kRows sums are then added in order.
__global__ void __launch_bounds__(kColumns* kRows)
    addPartials(float* sums, const float* partials, int64_t blocks, int64_t columns, int64_t stride) {
  float* rowSums = sharedMemory<float>();  // [kRows][kColumns]
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  float sum = 0;
  if (column < columns) {
#pragma unroll 4
    for (int64_t block = threadIdx.y; block < blocks; block += kRows)
      sum += partials[block * stride + column];
  }
  rowSums[threadIdx.y * kColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  float total = sums[column];
#pragma unroll
  for (int row = 0; row < kRows; ++row) total += rowSums[row * kColumns + threadIdx.x];
  sums[column] = total;
}

}  // namespace

void addPartialSums(Stream stream, float* sums, const float* partials, const MatrixShape& shape,
                    int64_t stride) {
  const auto [blocks, columns] = shape;
  launch(addPartials, static_cast<unsigned>(blocksOf(columns, kColumns)), dim3(kColumns, kRows),
         kColumns * kRows * sizeof(float), stream, sums, partials, blocks, columns,
         stride == 0 ? columns : stride);
}

}  // namespace hdpo::cuda
