// SwiGLU (Shazeer 2020). Shapes: gateUp, gradGateUp [N, 2F], gate beside up; out, gradOut [N, F]. With s = 1
// / (1 + e^-gate):
//   out      = gate * s * up
//   gradUp   = gradOut * gate * s
//   gradGate = gradOut * up * s * (1 + gate * (1 - s))
#include <cassert>

#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace hdpo {

namespace {

// 1 / (1 + e^-x), computed from e^-|x|, which cannot overflow. Relative accuracy holds for very negative x
// too.
inline Vector sigmoid(Vector x) {
  const Vector power = exponentialOfNegative(x < 0.0f ? x : -x), inverse = 1.0f / (1.0f + power);
  return x < 0.0f ? power * inverse : inverse;
}

inline void forwardLanes(float* out, const float* gate, const float* up, int64_t count) {
  const Vector x = loadPartial(gate, count);
  storePartial(out, x * sigmoid(x) * loadPartial(up, count), count);
}

inline void backwardLanes(float* gradGate, float* gradUp, const float* gradOut, const float* gate,
                          const float* up, int64_t count) {
  const Vector x = loadPartial(gate, count), grad = loadPartial(gradOut, count);
  const Vector share = sigmoid(x), silu = x * share;
  storePartial(gradUp, grad * silu, count);
  storePartial(gradGate, grad * loadPartial(up, count) * (share + silu * (1.0f - share)), count);
}

// Gate and up of a row are memory streams that end with the row, so the next row is touched in the order of
// memory while this one is computed. This is twice as fast where the tensors lie in the last level of cache.
inline void touchNextRow(const float* gateUp, const float* values, int64_t width) {
  touch(gateUp + 2 * width, 2 * width);
  touch(values + width, width);
}

}  // namespace

void CpuBackend::swiglu(const Tensor& out, const Tensor& gateUp) {
  Profiler::Scope scope(profiler(), "swiglu", 4.0 * static_cast<double>(out.count()));
  const int64_t rows = out.shape[0], width = out.shape[1], whole = width / kLanes * kLanes;
  assert(gateUp.count() == 2 * out.count());
#pragma omp parallel for schedule(static) if (out.count() > parallelElements())
  for (int64_t row = 0; row < rows; ++row) {
    const float *gate = gateUp.f32() + row * 2 * width, *up = gate + width;
    float* product = out.f32() + row * width;
    if (row + 1 < rows) touchNextRow(gate, product, width);
    for (int64_t i = 0; i < whole; i += kLanes) forwardLanes(product + i, gate + i, up + i, kLanes);
    if (whole < width) forwardLanes(product + whole, gate + whole, up + whole, width - whole);
  }
}

void CpuBackend::swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) {
  Profiler::Scope scope(profiler(), "swigluBackward", 10.0 * static_cast<double>(gradOut.count()));
  const int64_t rows = gradOut.shape[0], width = gradOut.shape[1], whole = width / kLanes * kLanes;
  assert(gateUp.count() == 2 * gradOut.count() && gradGateUp.count() == gateUp.count());
#pragma omp parallel for schedule(static) if (gradOut.count() > parallelElements())
  for (int64_t row = 0; row < rows; ++row) {
    const float *gate = gateUp.f32() + row * 2 * width, *up = gate + width,
                *grad = gradOut.f32() + row * width;
    float *gradGate = gradGateUp.f32() + row * 2 * width, *gradUp = gradGate + width;
    if (row + 1 < rows) {
      touchNextRow(gate, grad, width);
      touch(gradGate + 2 * width, 2 * width);
    }
    for (int64_t i = 0; i < whole; i += kLanes) {
      backwardLanes(gradGate + i, gradUp + i, grad + i, gate + i, up + i, kLanes);
    }
    if (whole < width) {
      backwardLanes(gradGate + whole, gradUp + whole, grad + whole, gate + whole, up + whole, width - whole);
    }
  }
}

}  // namespace hdpo
