// QK-norm: every query and key head of a row is RMS-normalised on its own.
//
// Shapes: qkv, out, gradQkv [N, (H + 2K) * E]; weights [E], one for queries and one for keys; inverseRms [N,
// H + K]. With r = 1 / sqrt(mean(x^2) + epsilon):
//   y_i      = x_i * r * w_i
//   gradW_i += sum over rows and heads of gradY_i * x_i * r
//   gradX_i  = r * (gradY_i * w_i - x_i * r^2 * mean_j(gradY_j * w_j * x_j))
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/cpu_backend.h"

namespace hdpo {

namespace {

inline float normaliseHead(float* y, const float* x, const float* weight, int64_t headDim, float epsilon) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < headDim; ++i) squares += x[i] * x[i];
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(headDim) + epsilon);
#pragma omp simd
  for (int64_t i = 0; i < headDim; ++i) y[i] = x[i] * inverse * weight[i];
  return inverse;
}

inline void headBackward(float* grad, float* gradWeight, const float* x, const float* weight, float inverse,
                         int64_t headDim) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < headDim; ++i) dot += grad[i] * weight[i] * x[i];
  const float pull = dot * inverse * inverse / static_cast<float>(headDim);
#pragma omp simd
  for (int64_t i = 0; i < headDim; ++i) {
    gradWeight[i] += grad[i] * x[i] * inverse;
    grad[i] = inverse * (grad[i] * weight[i] - x[i] * pull);
  }
}

// Rows per partial sum of the weights' gradients: fixed, so that the result does not depend on the number of
// threads.
constexpr int64_t kRowsPerPartial = 256;

}  // namespace

void CpuBackend::headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv,
                          const Tensor& queryWeight, const Tensor& keyWeight, const AttentionShape& shape,
                          float epsilon) {
  Profiler::Scope scope(profiler(), "headNorm");
  const int64_t rows = qkv.shape[0], width = shape.qkvWidth(), normed = shape.positionedHeads();
  const int64_t heads = shape.heads, kvHeads = shape.kvHeads, headDim = shape.headDim;
  assert(qkv.count() == rows * width && out.count() == qkv.count());
  assert(!inverseRms || inverseRms.count() == rows * normed);
  const float* in = qkv.f32();
  float* result = out.f32();
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < normed; ++head) {
      const int64_t at = row * width + head * headDim;
      const float* weight = head < heads ? queryWeight.f32() : keyWeight.f32();
      const float inverse = normaliseHead(result + at, in + at, weight, headDim, epsilon);
      if (inverseRms) inverseRms.f32()[row * normed + head] = inverse;
    }
    const int64_t values = row * width + normed * headDim;
    if (result != in)
      std::memcpy(result + values, in + values, static_cast<size_t>(kvHeads * headDim) * sizeof(float));
  }
}

void CpuBackend::headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight,
                                  const Tensor& gradKeyWeight, const Tensor& qkv, const Tensor& queryWeight,
                                  const Tensor& keyWeight, const Tensor& inverseRms,
                                  const AttentionShape& shape) {
  Profiler::Scope scope(profiler(), "headNormBackward");
  const int64_t rows = qkv.shape[0], width = shape.qkvWidth(), normed = shape.positionedHeads();
  const int64_t heads = shape.heads, headDim = shape.headDim;
  assert(gradQkv.count() == rows * width && inverseRms.count() == rows * normed);
  const int64_t partials = (rows + kRowsPerPartial - 1) / kRowsPerPartial;
  std::vector<float> gradWeights(static_cast<size_t>(partials * 2 * headDim), 0.0f);  // queries', then keys'
#pragma omp parallel for schedule(static)
  for (int64_t partial = 0; partial < partials; ++partial) {
    float* gradWeight = gradWeights.data() + partial * 2 * headDim;
    const int64_t end = std::min(rows, (partial + 1) * kRowsPerPartial);
    for (int64_t row = partial * kRowsPerPartial; row < end; ++row) {
      for (int64_t head = 0; head < normed; ++head) {
        const bool query = head < heads;
        const int64_t at = row * width + head * headDim;
        headBackward(gradQkv.f32() + at, gradWeight + (query ? 0 : headDim), qkv.f32() + at,
                     query ? queryWeight.f32() : keyWeight.f32(), inverseRms.f32()[row * normed + head],
                     headDim);
      }
    }
  }
  if (!gradQueryWeight) return;
  for (int64_t partial = 0; partial < partials; ++partial) {
    const float* gradWeight = gradWeights.data() + partial * 2 * headDim;
    for (int64_t i = 0; i < headDim; ++i) {
      gradQueryWeight.f32()[i] += gradWeight[i];
      gradKeyWeight.f32()[i] += gradWeight[headDim + i];
    }
  }
}

}  // namespace hdpo
