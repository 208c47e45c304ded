// SwiGLU (Shazeer 2020). Shapes: gateUp, gradGateUp [N, 2F], gate beside up; out, gradOut [N, F]. With
// s = 1 / (1 + e^-gate): out = gate * s * up, so
//   gradUp = gradOut * gate * s        gradGate = gradOut * up * s * (1 + gate * (1 - s))
#include <cassert>

#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"
#include "core/vector_math.h"

namespace hdpo {

void CpuBackend::swiglu(const Tensor& out, const Tensor& gateUp) {
  Profiler::Scope scope(profiler(), "swiglu", 4.0 * static_cast<double>(out.count()));
  const int64_t rows = out.shape[0], width = out.shape[1];
  assert(gateUp.count() == 2 * out.count());
#pragma omp parallel for schedule(static) if (out.count() > kParallelElements)
  for (int64_t row = 0; row < rows; ++row) {
    const float *gate = gateUp.f32() + row * 2 * width, *up = gate + width;
    float* product = out.f32() + row * width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) product[i] = gate[i] / (1.0f + vectorExp(-gate[i])) * up[i];
  }
}

void CpuBackend::swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) {
  Profiler::Scope scope(profiler(), "swigluBackward", 10.0 * static_cast<double>(gradOut.count()));
  const int64_t rows = gradOut.shape[0], width = gradOut.shape[1];
  assert(gateUp.count() == 2 * gradOut.count() && gradGateUp.count() == gateUp.count());
#pragma omp parallel for schedule(static) if (gradOut.count() > kParallelElements)
  for (int64_t row = 0; row < rows; ++row) {
    const float *gate = gateUp.f32() + row * 2 * width, *up = gate + width,
                *grad = gradOut.f32() + row * width;
    float *gradGate = gradGateUp.f32() + row * 2 * width, *gradUp = gradGate + width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      const float sigmoid = 1.0f / (1.0f + vectorExp(-gate[i])), silu = gate[i] * sigmoid;
      gradUp[i] = grad[i] * silu;
      gradGate[i] = grad[i] * up[i] * (sigmoid + silu * (1.0f - sigmoid));
    }
  }
}

}  // namespace hdpo
