// The passes of an optimiser step; native/cpu/optimizer.cpp has the equations.
#include <algorithm>
#include <cmath>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/optimizer.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kSpan = 65536;  // values per partial sum
constexpr int64_t kMostBlocks = 8192;

template <bool vectors>
__global__ void __launch_bounds__(kThreads)
    squaresOfSpan(double* partials, const float* values, int64_t count) {
  double* scratch = sharedMemory<double>();
  const int64_t begin = blockIdx.x * kSpan, end = begin + kSpan < count ? begin + kSpan : count;
  double sum = 0;
  if constexpr (vectors) {
#pragma unroll 4
    for (int64_t i = begin + 4 * threadIdx.x; i < end; i += 4 * kThreads) {
      if (i + 4 <= end) {
        const Pack<float> pack = loadPack(values + i);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const double value = pack.values[e];
          sum += value * value;
        }
      } else {
        for (int64_t e = i; e < end; ++e)
          sum += static_cast<double>(values[e]) * static_cast<double>(values[e]);
      }
    }
  } else {
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    }
  }
  sum = blockSum(sum, scratch);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) addSpans(double* result, const double* partials, int64_t count) {
  double* scratch = sharedMemory<double>();
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += partials[i];
  sum = blockSum(sum, scratch);
  if (threadIdx.x == 0) *result = sum;
}

struct Step {
  float beta1, beta2, newShare1, newShare2, gradientScale, stepSize, inverseRoot2, epsilon, decay;

  __device__ void update(float& weight, float gradient, float& momentum, float& variance) const {
    const float grad = gradient * gradientScale;
    momentum = beta1 * momentum + newShare1 * grad;
    variance = beta2 * variance + newShare2 * grad * grad;
    const float change = stepSize * momentum / (sqrtf(variance) * inverseRoot2 + epsilon);
    weight -= change + decay * weight;
  }
};

struct Parameters {
  float* weight;
  BFloat16* working;  // or null
  const float* gradient;
  float *momentum, *variance;
};

template <bool vectors>
__global__ void __launch_bounds__(kThreads) stepElements(Parameters given, int64_t count, Step step) {
  constexpr int kCount = vectors ? 4 : 1;
  const int64_t stride = int64_t{gridDim.x} * kThreads, items = count / kCount;
  for (int64_t item = int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += stride) {
    const int64_t i = item * kCount;
    if constexpr (vectors) {
      Pack<float> weight = loadPack(given.weight + i), momentum = loadPack(given.momentum + i),
                  variance = loadPack(given.variance + i);
      const Pack<float> gradient = loadPack(given.gradient + i);
#pragma unroll
      for (int e = 0; e < kCount; ++e) {
        step.update(weight.values[e], gradient.values[e], momentum.values[e], variance.values[e]);
      }
      storePack(given.weight + i, weight);
      storePack(given.momentum + i, momentum);
      storePack(given.variance + i, variance);
      if (given.working) {
        const auto pair = [&](int e) {
          return static_cast<unsigned>(fromFloat<BFloat16>(weight.values[e]).bits) |
                 static_cast<unsigned>(fromFloat<BFloat16>(weight.values[e + 1]).bits) << 16;
        };
        *reinterpret_cast<uint2*>(given.working + i) = make_uint2(pair(0), pair(2));
      }
    } else {
      float weight = given.weight[i], momentum = given.momentum[i], variance = given.variance[i];
      step.update(weight, given.gradient[i], momentum, variance);
      given.weight[i] = weight;
      given.momentum[i] = momentum;
      given.variance[i] = variance;
      if (given.working) given.working[i] = fromFloat<BFloat16>(weight);
    }
  }
}

unsigned blocksFor(int64_t items) {
  return static_cast<unsigned>(std::min(kMostBlocks, blocksOf(items, kThreads)));
}

}  // namespace

size_t sumOfSquaresWorkspaceBytes(int64_t count) {
  Workspace workspace;
  workspace.take<double>(blocksOf(count, kSpan));
  return workspace.bytes();
}

void sumOfSquares(Stream stream, double* result, const float* values, int64_t count, void* workspace) {
  const int64_t spans = blocksOf(count, kSpan);
  double* partials = Workspace(workspace).take<double>(spans);
  constexpr size_t kScratchBytes = kThreads / kWarp * sizeof(double);
  launch(inPacks<float>(0, values) ? squaresOfSpan<true> : squaresOfSpan<false>, static_cast<unsigned>(spans),
         kThreads, kScratchBytes, stream, partials, values, count);
  launch(addSpans, 1, kThreads, kScratchBytes, stream, result, partials, spans);
}

void adamW(Stream stream, float* weight, BFloat16* working, const float* gradient, float* momentum,
           float* variance, int64_t count, const AdamWOptions& options) {
  const double number = static_cast<double>(options.step), rate = options.learningRate;
  const double correction1 = 1 - std::pow(double{options.beta1}, number);
  const double correction2 = 1 - std::pow(double{options.beta2}, number);
  const Step step{options.beta1,
                  options.beta2,
                  static_cast<float>(1 - double{options.beta1}),
                  static_cast<float>(1 - double{options.beta2}),
                  options.gradientScale,
                  static_cast<float>(rate / correction1),
                  static_cast<float>(1 / std::sqrt(correction2)),
                  options.epsilon,
                  static_cast<float>(rate * options.weightDecay)};
  const bool aligned = inPacks<float>(0, weight, gradient, momentum, variance) &&
                       reinterpret_cast<uintptr_t>(working) % 8 == 0;
  const int64_t whole = aligned ? count / 4 * 4 : 0;
  launch(stepElements<true>, blocksFor(whole / 4), kThreads, 0, stream,
         Parameters{weight, working, gradient, momentum, variance}, whole, step);
  const Parameters rest{weight + whole, working ? working + whole : nullptr, gradient + whole,
                        momentum + whole, variance + whole};
  launch(stepElements<false>, blocksFor(count - whole), kThreads, 0, stream, rest, count - whole, step);
}

// --- The backend ---

double CudaBackend::sumOfSquares(const Tensor& values) {
  const Scope scope(*this, "sumOfSquares", 2.0 * static_cast<double>(values.count()));
  requireFloat32("sumOfSquares", {values});
  const size_t resultBytes = 16;
  auto* memory = static_cast<char*>(workspace(resultBytes + sumOfSquaresWorkspaceBytes(values.count())));
  auto* device = reinterpret_cast<double*>(memory);
  cuda::sumOfSquares(stream_, device, floats(values), values.count(), memory + resultBytes);
  double result = 0;
  copyToHost(&result, device, sizeof result);
  return result;
}

void CudaBackend::adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum,
                        const Tensor& variance, const AdamWOptions& options) {
  const Scope scope(*this, "adamW", 15.0 * static_cast<double>(weight.count()));
  requireFloat32("adamW", {weight, gradient, momentum, variance});
  cuda::adamW(stream_, floats(weight), nullptr, floats(gradient), floats(momentum), floats(variance),
              weight.count(), options);
}

}  // namespace hdpo::cuda
