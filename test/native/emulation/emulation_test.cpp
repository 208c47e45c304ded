// The emulation itself catches what it must catch.
#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include "core/error.h"
#include "cuda/element.h"
#include "cuda/reduce.h"

using namespace hdpo;
using namespace hdpo::cuda;

namespace {

__global__ void reverse(int* out, const int* in) {
  int* shared = sharedMemory<int>();
  const unsigned thread = threadIdx.x, count = blockDim.x;
  shared[thread] = in[blockIdx.x * count + thread];
  __syncthreads();
  out[blockIdx.x * count + thread] = shared[count - 1 - thread];
}

// How often reversing comes out wrong in 20 orders.
int wrongReversals(bool barriers) {
  std::vector<int> in(4 * 96), expected(in.size());
  std::iota(in.begin(), in.end(), 1);
  for (size_t i = 0; i < in.size(); ++i) expected[i] = in[i / 96 * 96 + 95 - i % 96];
  emulation::setBarriersWork(barriers);
  int wrong = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    emulation::setSeed(seed);
    std::vector<int> out(in.size());
    launch(reverse, 4, 96, 96 * sizeof(int), nullptr, out.data(), in.data());
    wrong += out != expected;
  }
  emulation::setBarriersWork(true);
  return wrong;
}

__global__ void halfAtBarrier() {
  if (threadIdx.x < 40) __syncthreads();
  if (threadIdx.x >= 40) __syncwarp();
}
__global__ void beyondShared() { sharedMemory<char>()[threadIdx.x] = 1; }
__global__ void readsShared(float* out) { out[threadIdx.x] = sharedMemory<float>()[threadIdx.x]; }
__global__ void differentMasks() { __shfl_sync(threadIdx.x % 2 ? 0xffffffffu : 0x55555555u, 1, 0); }
__global__ void copiesWithoutWait(float* out, const float* in) {
  float* shared = sharedMemory<float>();
  emulation::copyLater(shared + 4 * threadIdx.x, in + 4 * threadIdx.x, 16);
  emulation::commitCopies();
  out[threadIdx.x] = shared[4 * threadIdx.x];
  emulation::waitForCopies(0);
  out[blockDim.x + threadIdx.x] = shared[4 * threadIdx.x];
}
__global__ void copiesPacks(float* out, const float* in) {
  storePack(out + 4 * threadIdx.x, loadPack(in + 4 * threadIdx.x));
}
__global__ void copiesToShared(const float* in) {
  emulation::copyLater(sharedMemory<float>(), in, 16);
  emulation::commitCopies();
  emulation::waitForCopies(0);
}
__global__ void countBlocks(int* total) { atomicAdd(total, 1); }

__global__ void reductions(double* sums, float* largest, const float* values) {
  double* scratch = sharedMemory<double>();
  float* floats = reinterpret_cast<float*>(scratch + blockDim.x / kWarp);
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  sums[i] = blockSum(static_cast<double>(values[i]), scratch);
  largest[i] = blockReduce(values[i], floats, Largest());
}

template <typename Run>
std::string failureOf(const Run& run) {
  try {
    run();
  } catch (const Error& error) {
    CHECK(error.code() == "ERR_EMULATION");
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("emulation: a removed barrier shows in a random order of threads") {
  CHECK(wrongReversals(true) == 0);
  CHECK(wrongReversals(false) == 20);
}

TEST_CASE(
    "emulation: threads that never meet, masks that differ, shared memory overrun and read unset are "
    "caught") {
  const auto contains = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(contains(failureOf([] { launch(halfAtBarrier, 1, 64, 0, nullptr); }), "never reach"));
  CHECK(contains(failureOf([] { launch(beyondShared, 2, 64, 48, nullptr); }), "beyond its 48 bytes"));
  CHECK(contains(failureOf([] { launch(differentMasks, 1, 32, 0, nullptr); }), "mask"));
  std::vector<float> out(64, 1.0f);
  launch(readsShared, 1, 64, 64 * sizeof(float), nullptr, out.data());
  for (const float value : out) CHECK(std::isnan(value));
  CHECK(failureOf([] { launch(beyondShared, 2, 64, 64, nullptr); }) == "nothing");  // it works after an error
}

TEST_CASE("emulation: an access of 16 bytes at another address than a multiple of 16 is caught") {
  alignas(16) float in[12] = {}, out[12] = {};
  const auto failure = [&](float* to, const float* from) {
    return failureOf([&] { launch(copiesPacks, 1, 2, 0, nullptr, to, from); });
  };
  const std::string message = "an access of 16 bytes at an address that is no multiple of that";
  CHECK(failure(out, in) == "nothing");
  CHECK(failure(out + 1, in) == message);
  CHECK(failure(out, in + 2) == message);
  const auto failureOfCopy = [&](const float* from) {
    return failureOf([&] { launch(copiesToShared, 1, 1, 16, nullptr, from); });
  };
  CHECK(failureOfCopy(in) == "nothing");
  CHECK(failureOfCopy(in + 1) == message);
  // A block has this much shared memory on every GPU that is supported, and no more.
  int total = 0;
  launch(countBlocks, 1, 1, size_t{99} << 10, nullptr, &total);
  CHECK(failureOf([&] { launch(countBlocks, 1, 1, (size_t{99} << 10) + 1, nullptr, &total); }) ==
        "101377 bytes of shared memory");
}

TEST_CASE("emulation: asynchronous copies arrive at the wait, and every block of a grid runs once") {
  std::vector<float> in(256), out(128, -1.0f);
  std::iota(in.begin(), in.end(), 0.0f);
  launch(copiesWithoutWait, 1, 64, 64 * 16, nullptr, out.data(), in.data());
  for (size_t i = 0; i < 64; ++i) {
    CHECK(std::isnan(out[i]));
    CHECK(out[64 + i] == in[4 * i]);
  }
  int total = 0;
  launch(countBlocks, dim3(3, 5, 2), 7, 0, nullptr, &total);
  CHECK(total == 3 * 5 * 2 * 7);
}

TEST_CASE("reductions: every thread gets the block's sum and maximum, the same bits in any order") {
  for (const unsigned threads : {32u, 64u, 160u, 1024u}) {
    CAPTURE(threads);
    std::vector<float> values(2 * threads), largest(values.size());
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 1009) - 400.25f;
    std::vector<double> sums(values.size());
    for (uint64_t seed = 0; seed < 3; ++seed) {
      emulation::setSeed(seed);
      launch(reductions, 2, threads, threads / kWarp * 12, nullptr, sums.data(), largest.data(),
             values.data());
      for (size_t i = 0; i < values.size(); ++i) {
        const auto begin = values.begin() + static_cast<int64_t>(i / threads * threads);
        CHECK(sums[i] == std::accumulate(begin, begin + threads, 0.0));
        CHECK(largest[i] == *std::max_element(begin, begin + threads));
      }
    }
  }
  std::vector<float> values(64, 1.0f), largest(64);
  std::vector<double> sums(64);
  values[5] = std::numeric_limits<float>::quiet_NaN();
  launch(reductions, 2, 32, 12, nullptr, sums.data(), largest.data(), values.data());
  CHECK(std::isnan(largest[31]));
  CHECK(largest[32] == 1);
}
