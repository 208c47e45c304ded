// SwiGLU; native/cpu/swiglu.cpp has the equations. One pass, 16 bytes per thread and access where the width
// allows.
#include <algorithm>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/swiglu.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 8192;

__device__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }

template <typename T, int count>
struct Elements {
  float values[count];

  __device__ explicit Elements(const T* address) {
    if constexpr (count == 1) {
      values[0] = toFloat(*address);
    } else {
      const Pack<T> pack = loadPack(address);
#pragma unroll
      for (int i = 0; i < count; ++i) values[i] = toFloat(pack.values[i]);
    }
  }
  __device__ Elements() {}
  __device__ void store(T* address) const {
    if constexpr (count == 1) {
      *address = fromFloat<T>(values[0]);
    } else {
      Pack<T> pack;
#pragma unroll
      for (int i = 0; i < count; ++i) pack.values[i] = fromFloat<T>(values[i]);
      storePack(address, pack);
    }
  }
};

template <typename T, int count>
__global__ void __launch_bounds__(kThreads) forward(T* out, const T* gateUp, int64_t rows, int64_t width) {
  const int64_t step = int64_t{gridDim.x} * kThreads, inRow = width / count, items = rows * inRow;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < items; i += step) {
    const int64_t row = i / inRow, column = i % inRow * count;
    const Elements<T, count> gate(gateUp + row * 2 * width + column),
        up(gateUp + row * 2 * width + width + column);
    Elements<T, count> product;
#pragma unroll
    for (int e = 0; e < count; ++e)
      product.values[e] = gate.values[e] * sigmoid(gate.values[e]) * up.values[e];
    product.store(out + row * width + column);
  }
}

template <typename T, int count>
__global__ void __launch_bounds__(kThreads)
    backward(T* gradGateUp, const T* gradOut, const T* gateUp, int64_t rows, int64_t width) {
  const int64_t step = int64_t{gridDim.x} * kThreads, inRow = width / count, items = rows * inRow;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < items; i += step) {
    const int64_t row = i / inRow, column = i % inRow * count, at = row * 2 * width + column;
    const Elements<T, count> gate(gateUp + at), up(gateUp + at + width), grad(gradOut + row * width + column);
    Elements<T, count> gradGate, gradUp;
#pragma unroll
    for (int e = 0; e < count; ++e) {
      const float share = sigmoid(gate.values[e]), silu = gate.values[e] * share;
      gradUp.values[e] = grad.values[e] * silu;
      gradGate.values[e] = grad.values[e] * up.values[e] * (share + silu * (1.0f - share));
    }
    gradGate.store(gradGateUp + at);
    gradUp.store(gradGateUp + at + width);
  }
}

unsigned blocksFor(int64_t items) {
  return static_cast<unsigned>(std::min(kMostBlocks, blocksOf(items, kThreads)));
}

}  // namespace

template <typename T>
void swiglu(Stream stream, T* out, const T* gateUp, const MatrixShape& shape) {
  const auto [rows, width] = shape;
  if (inPacks<T>(width, out, gateUp)) {
    launch(forward<T, kPack<T>>, blocksFor(rows * width / kPack<T>), kThreads, 0, stream, out, gateUp, rows,
           width);
  } else {
    launch(forward<T, 1>, blocksFor(rows * width), kThreads, 0, stream, out, gateUp, rows, width);
  }
}

template <typename T>
void swigluBackward(Stream stream, T* gradGateUp, const T* gradOut, const T* gateUp,
                    const MatrixShape& shape) {
  const auto [rows, width] = shape;
  if (inPacks<T>(width, gradGateUp, gradOut, gateUp)) {
    launch(backward<T, kPack<T>>, blocksFor(rows * width / kPack<T>), kThreads, 0, stream, gradGateUp,
           gradOut, gateUp, rows, width);
  } else {
    launch(backward<T, 1>, blocksFor(rows * width), kThreads, 0, stream, gradGateUp, gradOut, gateUp, rows,
           width);
  }
}

template void swiglu(Stream, float*, const float*, const MatrixShape&);
template void swiglu(Stream, BFloat16*, const BFloat16*, const MatrixShape&);
template void swigluBackward(Stream, float*, const float*, const float*, const MatrixShape&);
template void swigluBackward(Stream, BFloat16*, const BFloat16*, const BFloat16*, const MatrixShape&);

// --- The backend ---

void CudaBackend::swiglu(const Tensor& out, const Tensor& gateUp) {
  const Scope scope(*this, "swiglu", 4.0 * static_cast<double>(out.count()));
  withType(out.dtype, "swiglu", [&](auto element) {
    using T = decltype(element);
    cuda::swiglu<T>(stream_, dataOf<T>(out), dataOf<T>(gateUp), matrixShape(out));
  });
}

void CudaBackend::swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) {
  const Scope scope(*this, "swigluBackward", 10.0 * static_cast<double>(gradOut.count()));
  withType(gradOut.dtype, "swigluBackward", [&](auto element) {
    using T = decltype(element);
    cuda::swigluBackward<T>(stream_, dataOf<T>(gradGateUp), dataOf<T>(gradOut), dataOf<T>(gateUp),
                            matrixShape(gradOut));
  });
}

}  // namespace hdpo::cuda
