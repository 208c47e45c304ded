// Shapes: x, y, gradX, gradY [R, C]; weight, gradWeight [C]; inverseRms [R]. With r = 1 / sqrt(mean(x^2) +
// epsilon):
//   y_i      = x_i * r * w_i
//   gradW_i += sum over rows of gradY_i * x_i * r
//   gradX_i (+)= r * (gradY_i * w_i - x_i * r^2 * mean_j(gradY_j * w_j * x_j))
#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

namespace {

// Rows per partial sum of gradWeight: fixed, so that the result does not depend on the number of threads.
constexpr int64_t kRowsPerPartial = 128;

float normaliseRow(float* y, const float* x, const float* weight, int64_t columns, float epsilon) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < columns; ++i) squares += x[i] * x[i];
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(columns) + epsilon);
#pragma omp simd
  for (int64_t i = 0; i < columns; ++i) y[i] = x[i] * inverse * weight[i];
  return inverse;
}

template <bool accumulate>
void rowBackward(float* gradX, float* gradWeight, const float* gradY, const float* x, const float* weight,
                 float inverse, int64_t columns) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < columns; ++i) dot += gradY[i] * weight[i] * x[i];
  const float pull = dot * inverse * inverse / static_cast<float>(columns);
#pragma omp simd
  for (int64_t i = 0; i < columns; ++i) {
    const float grad = gradY[i], value = x[i];
    gradWeight[i] += grad * value * inverse;
    const float gradValue = inverse * (grad * weight[i] - value * pull);
    gradX[i] = accumulate ? gradX[i] + gradValue : gradValue;
  }
}

}  // namespace

void CpuBackend::rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
                         float epsilon) {
  Profiler::Scope scope(profiler(), "rmsNorm", 4.0 * static_cast<double>(x.count()));
  const int64_t rows = x.shape[0], columns = x.shape[1];
  assert(y.count() == x.count() && weight.count() == columns);
  assert(!inverseRms || inverseRms.count() == rows);
  float* result = y.f32();
  float* kept = inverseRms ? inverseRms.f32() : nullptr;
  const float *in = x.f32(), *scale = weight.f32();
#pragma omp parallel for schedule(static) if (x.count() > parallelElements())
  for (int64_t row = 0; row < rows; ++row) {
    const float inverse = normaliseRow(result + row * columns, in + row * columns, scale, columns, epsilon);
    if (kept) kept[row] = inverse;
  }
}

void CpuBackend::rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight,
                                 const Tensor& gradY, const Tensor& x, const Tensor& weight,
                                 const Tensor& inverseRms) {
  Profiler::Scope scope(profiler(), "rmsNormBackward", 10.0 * static_cast<double>(x.count()));
  const int64_t rows = x.shape[0], columns = x.shape[1];
  assert(gradX.count() == x.count() && gradY.count() == x.count() && inverseRms.count() == rows);
  assert(weight.count() == columns && (!gradWeight || gradWeight.count() == columns));
  const int64_t partials = (rows + kRowsPerPartial - 1) / kRowsPerPartial;
  std::vector<float> partialSums(static_cast<size_t>(partials * columns), 0.0f);
  const auto backwardOfRow = accumulate ? rowBackward<true> : rowBackward<false>;
#pragma omp parallel for schedule(static) if (x.count() > parallelElements())
  for (int64_t partial = 0; partial < partials; ++partial) {
    float* sums = partialSums.data() + partial * columns;
    const int64_t end = std::min(rows, (partial + 1) * kRowsPerPartial);
    for (int64_t row = partial * kRowsPerPartial; row < end; ++row) {
      backwardOfRow(gradX.f32() + row * columns, sums, gradY.f32() + row * columns, x.f32() + row * columns,
                    weight.f32(), inverseRms.f32()[row], columns);
    }
  }
  if (!gradWeight) return;
  float* total = gradWeight.f32();
  for (int64_t partial = 0; partial < partials; ++partial) {
    for (int64_t i = 0; i < columns; ++i) total[i] += partialSums[static_cast<size_t>(partial * columns + i)];
  }
}

}  // namespace hdpo
