// The passes of an optimiser step over flat tensors: the gradient's norm, and AdamW (Loshchilov and Hutter
// 2019), where t is the number of the step:
//   m = beta1 * m + (1 - beta1) * g
//   v = beta2 * v + (1 - beta2) * g^2
//   w = w - learningRate * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weightDecay * w)
#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

// Partial sums over fixed blocks are added in order: the value is the same for any number of threads.
double CpuBackend::sumOfSquares(const Tensor& values) {
  Profiler::Scope scope(profiler(), "sumOfSquares", 2.0 * static_cast<double>(values.count()));
  constexpr int64_t kBlock = 16384;
  const int64_t count = values.count(), blocks = (count + kBlock - 1) / kBlock;
  const float* value = values.f32();
  std::vector<double> partials(static_cast<size_t>(blocks));
#pragma omp parallel for schedule(static) if (count > parallelElements())
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t end = std::min(count, (block + 1) * kBlock);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = block * kBlock; i < end; ++i)
      sum += static_cast<double>(value[i]) * static_cast<double>(value[i]);
    partials[static_cast<size_t>(block)] = sum;
  }
  double total = 0;
  for (const double partial : partials) total += partial;
  return total;
}

void CpuBackend::adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum,
                       const Tensor& variance, const AdamWOptions& options) {
  Profiler::Scope scope(profiler(), "adamW", 14.0 * static_cast<double>(weight.count()));
  const int64_t count = weight.count();
  assert(gradient.count() == count && momentum.count() == count && variance.count() == count);
  assert(options.step >= 1);
  const double step = static_cast<double>(options.step), rate = options.learningRate;
  const double correction1 = 1 - std::pow(static_cast<double>(options.beta1), step);
  const double correction2 = 1 - std::pow(static_cast<double>(options.beta2), step);
  const float beta1 = options.beta1, beta2 = options.beta2, gradientScale = options.gradientScale;
  const float newShare1 = static_cast<float>(1 - static_cast<double>(options.beta1));
  const float newShare2 = static_cast<float>(1 - static_cast<double>(options.beta2));
  const float stepSize = static_cast<float>(rate / correction1);
  const float inverseRoot2 = static_cast<float>(1 / std::sqrt(correction2)), epsilon = options.epsilon;
  const float decay = static_cast<float>(rate * options.weightDecay);
  float *w = weight.f32(), *m = momentum.f32(), *v = variance.f32();
  const float* g = gradient.f32();
#pragma omp parallel for simd schedule(static) if (parallel : count > parallelElements())
  for (int64_t i = 0; i < count; ++i) {
    const float grad = g[i] * gradientScale;
    const float first = beta1 * m[i] + newShare1 * grad;
    const float second = beta2 * v[i] + newShare2 * grad * grad;
    m[i] = first;
    v[i] = second;
    const float update = stepSize * first / (std::sqrt(second) * inverseRoot2 + epsilon);
    w[i] -= update + decay * w[i];
  }
}

}  // namespace hdpo
