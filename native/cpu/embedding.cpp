// Looks up rows of a table by token: out, gradOut [N, D] float32; table [V, D] float32 or bfloat16; gradTable
// [V, D] float32; tokens [N].
#include <algorithm>
#include <cassert>
#include <cstring>

#include "cpu/bfloat16.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

void CpuBackend::embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) {
  Profiler::Scope scope(profiler(), "embedding");
  const int64_t rows = out.shape[0], columns = out.shape[1];
  assert(table.shape[1] == columns);
#pragma omp parallel for schedule(static) if (out.count() > parallelElements())
  for (int64_t row = 0; row < rows; ++row) {
    assert(tokens[row] >= 0 && tokens[row] < table.shape[0]);
    float* values = out.f32() + row * columns;
    if (table.dtype == DType::Float32) {
      std::memcpy(values, table.f32() + tokens[row] * columns, static_cast<size_t>(columns) * sizeof(float));
    } else {
      widen(values, table.bf16() + tokens[row] * columns, columns);
    }
  }
}

// Tokens repeat, so threads share out the columns and not the rows: every sum is taken in the order of the
// batch, without atomics, whatever the number of threads.
void CpuBackend::embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) {
  Profiler::Scope scope(profiler(), "embeddingBackward", static_cast<double>(gradOut.count()));
  const int64_t rows = gradOut.shape[0], columns = gradOut.shape[1];
  assert(gradTable.shape[1] == columns);
  const int64_t slice = std::max<int64_t>(16, (columns / threads_ + 15) / 16 * 16);  // whole cache lines
  const int64_t slices = (columns + slice - 1) / slice;
#pragma omp parallel for schedule(static) if (gradOut.count() > parallelElements())
  for (int64_t part = 0; part < slices; ++part) {
    const int64_t begin = part * slice, count = std::min(slice, columns - begin);
    for (int64_t row = 0; row < rows; ++row) {
      assert(tokens[row] >= 0 && tokens[row] < gradTable.shape[0]);
      float* sum = gradTable.f32() + tokens[row] * columns + begin;
      const float* grad = gradOut.f32() + row * columns + begin;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) sum[i] += grad[i];
    }
  }
}

}  // namespace hdpo
