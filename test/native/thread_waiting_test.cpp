// When threads that wait should sleep.
#include "cpu/thread_waiting.h"

#include <doctest/doctest.h>

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
  int quiet = 1;
  while (crowding.add(false)) REQUIRE(++quiet < 100);
  CHECK(quiet > 5);
  CHECK(quiet < 25);                // half a second at 50 samples a second
  CHECK_FALSE(crowding.add(true));  // one process that starts and ends
  int crowded = 1;
  while (!crowding.add(true)) REQUIRE(++crowded < 100);
  CHECK(crowded < 5);
  // One sample in five: neither quiet enough to spin again, nor, had threads been spinning, a reason to
  // sleep.
  for (int i = 0; i < 200; ++i) CHECK(crowding.add(i % 5 == 0));
  while (crowding.add(false)) REQUIRE(++quiet < 200);
  for (int i = 0; i < 200; ++i) CHECK_FALSE(crowding.add(i % 5 == 0));
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
