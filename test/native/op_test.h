// What tests of single ops share: random operands, and a check of every op on the reference and on the CPU
// with 1 and 2 threads.
#pragma once

#include <doctest/doctest.h>

#include <functional>

#include "small_models.h"

namespace hdpo {

using Values = std::vector<float>;

inline Values randomValues(int64_t count, uint64_t stream, float scale = 1) {
  Values result;
  for (int64_t i = 0; i < count; ++i) result.push_back(scale * normal(1, stream, static_cast<uint64_t>(i)));
  return result;
}

// `results` runs an op and returns everything that it wrote. Checks that the CPU agrees with the reference,
// that a repeated run gives the same bits, and that one thread and two give the same bits (unless the op only
// promises that for a given number of threads).
inline void checkAgainstReference(const std::function<std::vector<Values>(Backend&)>& results,
                                  double tolerance, bool sameForAnyThreads = true) {
  ReferenceBackend reference;
  const auto cpu = createCpuBackend(2);
  const std::vector<Values> expected = results(reference), two = results(*cpu), again = results(*cpu);
  CHECK(two == again);
  if (sameForAnyThreads) CHECK(results(*createCpuBackend(1)) == two);
  REQUIRE(two.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    REQUIRE(two[i].size() == expected[i].size());
    CHECK(relativeDifference(two[i], expected[i]) < tolerance);
  }
}

}  // namespace hdpo
