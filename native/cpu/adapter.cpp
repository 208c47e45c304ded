// What LoRA needs beside matrix products: dropout of the input, and one matrix with a group's B matrices on
// its diagonal.
#include <algorithm>
#include <cassert>

#include "core/random.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

void CpuBackend::dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) {
  Profiler::Scope scope(profiler(), "dropout");
  const int64_t columns = rows.shape[1], groups = (columns + 3) / 4;
  assert(out.count() == rows.count() && mask.probability >= 0 && mask.probability < 1);
  const double share = double{mask.probability} * 4294967296.0;
  const auto threshold = static_cast<uint32_t>(share);
  const float scale = 1 / (1 - mask.probability);
#pragma omp parallel for schedule(static) num_threads(threads_) if (rows.count() > parallelElements())
  for (int64_t row = 0; row < rows.shape[0]; ++row) {
    const float* from = rows.f32() + row * columns;
    float* to = out.f32() + row * columns;
    const auto first = static_cast<uint64_t>((mask.firstRow + row) * groups);
    for (int64_t group = 0; group < groups; ++group) {
      const auto bits = philox(mask.seed, mask.stream, first + static_cast<uint64_t>(group));
      const int64_t end = std::min<int64_t>(4, columns - group * 4);
      for (int64_t i = 0; i < end; ++i) {
        const bool kept = bits[static_cast<size_t>(i)] >= threshold;
        to[group * 4 + i] = kept ? from[group * 4 + i] * scale : 0.0f;
      }
    }
  }
}

void CpuBackend::spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks,
                              int64_t modules, float scale) {
  Profiler::Scope scope(profiler(), "spreadBlocks");
  const int64_t rank = up.shape[1], width = modules * rank;
  assert(out.shape[1] == width);
  std::fill(out.f32(), out.f32() + out.count(), 0.0f);
  const float* from = up.f32();
  for (int64_t module = 0; module < modules; ++module) {
    float* to = out.f32() + blocks[module].firstRow * width + module * rank;
    for (int64_t row = 0; row < blocks[module].rows; ++row, from += rank, to += width) {
      for (int64_t i = 0; i < rank; ++i) to[i] = scale * from[i];
    }
  }
}

void CpuBackend::spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut, const AdapterBlock* blocks,
                                      int64_t modules, float scale) {
  Profiler::Scope scope(profiler(), "spreadBlocksBackward");
  const int64_t rank = gradUp.shape[1], width = modules * rank;
  assert(gradOut.shape[1] == width);
  float* to = gradUp.f32();
  for (int64_t module = 0; module < modules; ++module) {
    const float* from = gradOut.f32() + blocks[module].firstRow * width + module * rank;
    for (int64_t row = 0; row < blocks[module].rows; ++row, to += rank, from += width) {
      for (int64_t i = 0; i < rank; ++i) to[i] += scale * from[i];
    }
  }
}

}  // namespace hdpo
