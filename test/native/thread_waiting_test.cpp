// When waiting threads should sleep.
#include "cpu/thread_waiting.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include "ops/device.h"

using namespace hdpo;

TEST_CASE("a machine is crowded when more wants to run than it has cores, the reader left out") {
  CHECK_FALSE(isCrowded("0.31 0.22 0.18 1/146 17179", 2));
  CHECK_FALSE(isCrowded("7.88 8.51 7.75 3/146 17179", 2));
  CHECK(isCrowded("0.10 0.10 0.10 4/146 17179", 2));
  CHECK_FALSE(isCrowded("0.10 0.10 0.10 4/146 17179", 3));
  CHECK_FALSE(isCrowded("", 2));
}

TEST_CASE("threads sleep at first, spin on a quiet machine, and sleep soon after others want its cores") {
  Crowding crowding;
  const auto samplesUntil = [&crowding](bool asleep, bool crowded) {
    int samples = 0;
    for (; crowding.asleep() != asleep; ++samples) {
      REQUIRE(samples < 100);
      crowding.add(crowded);
    }
    return samples;
  };
  const int quiet = samplesUntil(false, false);
  CHECK(quiet > 5);
  CHECK(quiet < 25);  // half a second, at 50 samples per second
  crowding.add(true);
  CHECK_FALSE(crowding.asleep());  // one process that starts and ends
  CHECK(samplesUntil(true, true) < 5);
  // One sample in five is crowded: that is not quiet enough to spin again and, had threads been spinning, no
  // reason to sleep.
  for (const bool asleep : {true, false}) {
    samplesUntil(asleep, asleep);
    for (int i = 0; i < 200; ++i) {
      crowding.add(i % 5 == 0);
      CHECK(crowding.asleep() == asleep);
    }
  }
}

TEST_CASE("one watcher serves all backends of a process and ends with the last") {
  adaptThreadWaiting();
  std::weak_ptr<ThreadWaiting> watched;
  {
    const std::shared_ptr<ThreadWaiting> one = ThreadWaiting::ofProcess(), other = ThreadWaiting::ofProcess();
    REQUIRE(one);
    CHECK(one == other);
    watched = one;
  }
  CHECK(watched.expired());
  CHECK(ThreadWaiting::ofProcess());
}

#if defined(__linux__)
TEST_CASE("a backend's threads end with it, though the thread that it ran on goes on") {
  const auto threadsOfProcess = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  std::thread([&] {
    const auto before = threadsOfProcess();
    {
      const std::unique_ptr<Backend> backend = createCpuBackend(3);
      constexpr int64_t kCount = int64_t{1} << 20;
      std::vector<float> values(kCount, 1.0f);
      const Tensor tensor(values.data(), {kCount});
      backend->add(tensor, tensor, tensor);
      CHECK(threadsOfProcess() >= before + 2);
    }
    for (int i = 0; i < 500 && threadsOfProcess() > before; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(threadsOfProcess() <= before);
  }).join();
}
#endif
