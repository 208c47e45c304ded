// What LoRA needs beside matrix products; ops/backend.h has the shapes.
#include <cassert>

#include "core/random.h"
#include "cuda/adapter.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 256;

// A thread takes the four columns that share one draw.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    dropElements(T* out, const T* rows, int64_t count, int64_t columns, DropoutMask mask,
                 uint32_t threshold) {
  const int64_t groups = (columns + 3) / 4, item = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= count * groups) return;
  const int64_t row = item / groups, group = item % groups;
  const auto bits = philox(mask.seed, mask.stream, static_cast<uint64_t>(mask.firstRow * groups + item));
  const float scale = 1 / (1 - mask.probability);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t column = group * 4 + i;
    if (column >= columns) break;
    const int64_t at = row * columns + column;
    const bool kept = bits[static_cast<size_t>(i)] >= threshold;
    out[at] = fromFloat<T>(kept ? toFloat(rows[at]) * scale : 0.0f);
  }
}

struct Blocks {
  AdapterBlock blocks[kMostAdapterBlocks];
  int64_t modules, rank;
  float scale;

  // Where element (row, i) of block `module` lies in out.
  __device__ int64_t inOut(int64_t module, int64_t row, int64_t i) const {
    return (blocks[module].firstRow + row) * modules * rank + module * rank + i;
  }
};

// up [sum of the blocks' rows, rank]. Forward computes out = scale * up, backward up += scale * out.
template <bool forward>
__global__ void __launch_bounds__(kThreads) moveBlocks(float* target, const float* source, Blocks given) {
  int64_t item = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t inUp = item;
  for (int64_t module = 0; module < given.modules; ++module) {
    const int64_t size = given.blocks[module].rows * given.rank;
    if (item >= size) {
      item -= size;
      continue;
    }
    const int64_t inOut = given.inOut(module, item / given.rank, item % given.rank);
    if constexpr (forward) {
      target[inOut] = given.scale * source[inUp];
    } else {
      target[inUp] += given.scale * source[inOut];
    }
    return;
  }
}

Blocks blocksIn(const AdapterBlock* blocks, int64_t modules, int64_t rank, float scale, int64_t& items) {
  assert(modules <= kMostAdapterBlocks);
  Blocks given{};
  given.modules = modules;
  given.rank = rank;
  given.scale = scale;
  items = 0;
  for (int64_t module = 0; module < modules; ++module) {
    given.blocks[module] = blocks[module];
    items += blocks[module].rows * rank;
  }
  return given;
}

}  // namespace

template <typename T>
void dropout(Stream stream, T* out, const T* rows, const MatrixShape& shape, const DropoutMask& mask) {
  const auto [count, columns] = shape;
  const auto threshold = static_cast<uint32_t>(double{mask.probability} * 4294967296.0);
  launch(dropElements<T>, static_cast<unsigned>(blocksOf(count * blocksOf(columns, 4), kThreads)), kThreads,
         0, stream, out, rows, count, columns, mask, threshold);
}
template void dropout(Stream, float*, const float*, const MatrixShape&, const DropoutMask&);
template void dropout(Stream, BFloat16*, const BFloat16*, const MatrixShape&, const DropoutMask&);

void spreadBlocks(Stream stream, float* out, int64_t outputs, const float* up, const AdapterBlock* blocks,
                  int64_t modules, int64_t rank, float scale) {
  int64_t items = 0;
  const Blocks given = blocksIn(blocks, modules, rank, scale, items);
  zeroBytes(out, static_cast<size_t>(outputs * modules * rank) * sizeof(float), stream);
  launch(moveBlocks<true>, static_cast<unsigned>(blocksOf(items, kThreads)), kThreads, 0, stream, out, up,
         given);
}

void spreadBlocksBackward(Stream stream, float* gradUp, const float* gradOut, const AdapterBlock* blocks,
                          int64_t modules, int64_t rank, float scale) {
  int64_t items = 0;
  const Blocks given = blocksIn(blocks, modules, rank, scale, items);
  launch(moveBlocks<false>, static_cast<unsigned>(blocksOf(items, kThreads)), kThreads, 0, stream, gradUp,
         gradOut, given);
}

// --- The backend ---

void CudaBackend::dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) {
  const Scope scope(*this, "dropout");
  withType(rows.dtype, "dropout", [&](auto element) {
    using T = decltype(element);
    cuda::dropout<T>(stream_, dataOf<T>(out), dataOf<T>(rows), matrixShape(rows), mask);
  });
}

void CudaBackend::spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks,
                               int64_t modules, float scale) {
  const Scope scope(*this, "spreadBlocks");
  requireFloat32("spreadBlocks", {out, up});
  cuda::spreadBlocks(stream_, floats(out), out.shape[0], floats(up), blocks, modules, up.shape[1], scale);
}

void CudaBackend::spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut,
                                       const AdapterBlock* blocks, int64_t modules, float scale) {
  const Scope scope(*this, "spreadBlocksBackward");
  requireFloat32("spreadBlocksBackward", {gradUp, gradOut});
  cuda::spreadBlocksBackward(stream_, floats(gradUp), floats(gradOut), blocks, modules, gradUp.shape[1],
                             scale);
}

}  // namespace hdpo::cuda
