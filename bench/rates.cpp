// What this machine gives at best, as JSON: the bounds that the real-size benchmark's figures are shares of.
//   hdpo_rates THREADS
// The matrix rates are those of oneDNN (through Backend::matmul) on 2048 x 896 by 896 x 4864, the read rate
// that of a sum over a gibibyte, best of several runs each.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "cpu/vector.h"
#include "ops/buffer.h"

namespace {

using namespace hdpo;

template <class Work>
double bestSeconds(const Work& work) {
  constexpr int kRuns = 9;
  double best = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double matrixGflops(Backend& backend, bool bfloat16) {
  constexpr int64_t kRows = 2048, kInner = 896, kColumns = 4864;
  const Buffer x(backend, kRows * kInner * sizeof(float)), weight(backend, kColumns * kInner * sizeof(float)),
      rounded(backend, kColumns * kInner * sizeof(uint16_t)), out(backend, kRows * kColumns * sizeof(float));
  const Tensor wide(weight.f32(), {kColumns, kInner}),
      narrow(rounded.data(), DType::BFloat16, {kColumns, kInner});
  std::fill_n(x.f32(), kRows * kInner, 0.5f);
  for (int64_t i = 0; i < kColumns * kInner; ++i) weight.f32()[i] = static_cast<float>(i % 1000) * 1e-3f;
  backend.convert(narrow, wide);
  const double seconds = bestSeconds([&] {
    backend.matmul(Tensor(out.f32(), {kRows, kColumns}), Tensor(x.f32(), {kRows, kInner}), false,
                   bfloat16 ? narrow : wide, true, 0);
  });
  return 2.0 * kRows * kInner * kColumns / seconds / 1e9;
}

double readGigabytesPerSecond(Backend& backend) {
  constexpr int64_t kCount = int64_t{1} << 28, kPart = int64_t{1} << 16;
  const Buffer values(backend, kCount * sizeof(float));
  float* data = values.f32();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < kCount; ++i) data[i] = 1;
  volatile float sink = 0;
  const double seconds = bestSeconds([&] {
    float total = 0;
#pragma omp parallel for schedule(static) reduction(+ : total)
    for (int64_t begin = 0; begin < kCount; begin += kPart) {
      Vector sums[4] = {};
      for (int64_t i = begin; i < begin + kPart; i += 4 * kLanes) {
        for (int v = 0; v < 4; ++v) sums[v] += load(data + i + v * kLanes);
      }
      const Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
      for (int64_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
    }
    sink = total;
  });
  return static_cast<double>(kCount) * sizeof(float) / seconds / 1e9;
}

}  // namespace

int main(int count, char** arguments) {
  const auto backend = hdpo::createCpuBackend(count > 1 ? std::atoi(arguments[1]) : 0);
  const double read = readGigabytesPerSecond(*backend), wide = matrixGflops(*backend, false),
               narrow = matrixGflops(*backend, true);
  std::printf("{\"float32Gflops\": %.1f, \"bfloat16Gflops\": %.1f, \"readGigabytesPerSecond\": %.1f}\n", wide,
              narrow, read);
}
