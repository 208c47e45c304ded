// Conversions, sums, biases and moves of rows: memory-bound, one pass each.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "cpu/bfloat16.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

void CpuBackend::convert(const Tensor& out, const Tensor& in) {
  Profiler::Scope scope(profiler(), "convert", static_cast<double>(out.count()));
  const int64_t count = out.count();
  assert(in.count() == count);
  if (out.dtype == in.dtype) {
    std::memmove(out.data, in.data, out.bytes());
    return;
  }
  constexpr int64_t kPart = int64_t{1} << 14;
#pragma omp parallel for schedule(static) if (count > parallelElements())
  for (int64_t begin = 0; begin < count; begin += kPart) {
    const int64_t length = std::min(kPart, count - begin);
    if (out.dtype == DType::BFloat16) {
      narrow(out.bf16() + begin, in.f32() + begin, length);
    } else {
      widen(out.f32() + begin, in.bf16() + begin, length);
    }
  }
}

void CpuBackend::add(const Tensor& out, const Tensor& a, const Tensor& b) {
  Profiler::Scope scope(profiler(), "add", static_cast<double>(out.count()));
  const int64_t count = out.count();
  assert(a.count() == count && b.count() == count);
  float* sum = out.f32();
  const float *left = a.f32(), *right = b.f32();
#pragma omp parallel for simd schedule(static) if (parallel : count > parallelElements())
  for (int64_t i = 0; i < count; ++i) sum[i] = left[i] + right[i];
}

void CpuBackend::addBias(const Tensor& rows, const Tensor& bias) {
  Profiler::Scope scope(profiler(), "addBias", static_cast<double>(rows.count()));
  const int64_t count = rows.shape[0], columns = rows.shape[1];
  assert(bias.count() == columns);
  const float* offset = bias.f32();
#pragma omp parallel for schedule(static) if (rows.count() > parallelElements())
  for (int64_t row = 0; row < count; ++row) {
    float* values = rows.f32() + row * columns;
#pragma omp simd
    for (int64_t i = 0; i < columns; ++i) values[i] += offset[i];
  }
}

// Columns are summed in the order of the rows. Threads share out blocks of columns that are narrow enough for
// the sums to stay in cache.
void CpuBackend::biasBackward(const Tensor& gradBias, const Tensor& gradRows) {
  Profiler::Scope scope(profiler(), "biasBackward", static_cast<double>(gradRows.count()));
  constexpr int64_t kColumns = 64;
  const int64_t rows = gradRows.shape[0], columns = gradRows.shape[1];
  assert(gradBias.count() == columns);
#pragma omp parallel for schedule(static) if (gradRows.count() > parallelElements())
  for (int64_t begin = 0; begin < columns; begin += kColumns) {
    const int64_t count = std::min(kColumns, columns - begin);
    float sums[kColumns] = {};
    for (int64_t row = 0; row < rows; ++row) {
      const float* grad = gradRows.f32() + row * columns + begin;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) sums[i] += grad[i];
    }
    for (int64_t i = 0; i < count; ++i) gradBias.f32()[begin + i] += sums[i];
  }
}

void CpuBackend::gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) {
  Profiler::Scope scope(profiler(), "gatherRows");
  const int64_t count = out.shape[0], columns = out.shape[1];
  assert(rows.shape[1] == columns);
#pragma omp parallel for schedule(static) if (out.count() > parallelElements())
  for (int64_t i = 0; i < count; ++i) {
    assert(index[i] >= 0 && index[i] < rows.shape[0]);
    std::memcpy(out.f32() + i * columns, rows.f32() + index[i] * columns,
                static_cast<size_t>(columns) * sizeof(float));
  }
}

void CpuBackend::scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) {
  Profiler::Scope scope(profiler(), "scatterRows");
  const int64_t count = rows.shape[0], columns = rows.shape[1];
  assert(out.shape[1] == columns);
  std::memset(out.data, 0, out.bytes());
#pragma omp parallel for schedule(static) if (rows.count() > parallelElements())
  for (int64_t i = 0; i < count; ++i) {
    assert(index[i] >= 0 && index[i] < out.shape[0]);
    std::memcpy(out.f32() + index[i] * columns, rows.f32() + i * columns,
                static_cast<size_t>(columns) * sizeof(float));
  }
}

}  // namespace hdpo
