#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "small_models.h"
#include "token_terms.h"

using namespace hdpo;

namespace {

struct Shape {
  int64_t rows, width, vocabSize;
};

struct Case {
  Shape shape;
  std::vector<float> hidden, weight;
  std::vector<int32_t> targets;
  std::vector<TokenTerms> terms;
  PolicyLossOptions options;
};

struct Result {
  PolicyLossSums sums;
  std::vector<float> logprobs, entropy, gradHidden, gradWeight;
};

Case randomCase(const Shape& shape, const PolicyLossOptions& options, uint64_t seed) {
  Case result{shape,
              {},
              {},
              randomTokens(shape.rows, shape.vocabSize, seed),
              randomTerms(shape.rows, shape.vocabSize, seed),
              options};
  const float scale = 1 / std::sqrt(static_cast<float>(shape.width));
  for (int64_t i = 0; i < shape.rows * shape.width; ++i) {
    result.hidden.push_back(normal(seed, 9, static_cast<uint64_t>(i)));
  }
  for (int64_t i = 0; i < shape.vocabSize * shape.width; ++i) {
    result.weight.push_back(scale * normal(seed, 10, static_cast<uint64_t>(i)));
  }
  return result;
}

// Rows [begin, end) of the case; gradients of the weight are added to result.gradWeight.
void addRows(Backend& backend, Case& given, int64_t begin, int64_t end, size_t workspaceLimit, bool backward,
             Result& result) {
  const auto& [rows, width, vocabSize] = given.shape;
  LinearLossInput input;
  input.hidden = Tensor(given.hidden.data(), {rows, width}).rows(begin, end);
  input.weight = Tensor(given.weight.data(), {vocabSize, width});
  input.targets = given.targets.data() + begin;
  input.terms = given.terms.data() + begin;
  input.options = given.options;
  input.workspaceLimit = workspaceLimit;
  LinearLossOutput output{result.logprobs.data() + begin, result.entropy.data() + begin, Tensor(), Tensor()};
  if (backward) {
    output.gradHidden = Tensor(result.gradHidden.data(), {rows, width}).rows(begin, end);
    output.gradWeight = Tensor(result.gradWeight.data(), {vocabSize, width});
  }
  const PolicyLossSums sums = backend.linearLoss(input, output);
  result.sums.loss += sums.loss;
  result.sums.accuracyLoss += sums.accuracyLoss;
  result.sums.efficiencyLoss += sums.efficiencyLoss;
  result.sums.kl += sums.kl;
  result.sums.supervisedLoss += sums.supervisedLoss;
  result.sums.entropy += sums.entropy;
  result.sums.tokens += sums.tokens;
  result.sums.clippedLow += sums.clippedLow;
  result.sums.clippedHigh += sums.clippedHigh;
  result.sums.dualClipped += sums.dualClipped;
  result.sums.workspaceBytes = std::max(result.sums.workspaceBytes, sums.workspaceBytes);
}

Result emptyResult(const Case& given) {
  const size_t rows = given.targets.size();
  // What is in gradWeight stays: it accumulates.
  return {{},
          std::vector<float>(rows, 9),
          std::vector<float>(rows, 9),
          std::vector<float>(given.hidden.size(), 9),
          std::vector<float>(given.weight.size(), 0.25f)};
}

Result lossOf(Backend& backend, Case given, size_t workspaceLimit = size_t{64} << 20, bool backward = true) {
  Result result = emptyResult(given);
  addRows(backend, given, 0, given.shape.rows, workspaceLimit, backward, result);
  return result;
}

void checkNear(const Result& found, const Result& expected, double tolerance) {
  const auto near = [&](double value) { return doctest::Approx(value).epsilon(tolerance).scale(1); };
  CHECK(found.sums.loss == near(expected.sums.loss));
  CHECK(found.sums.accuracyLoss == near(expected.sums.accuracyLoss));
  CHECK(found.sums.efficiencyLoss == near(expected.sums.efficiencyLoss));
  CHECK(found.sums.kl == near(expected.sums.kl));
  CHECK(found.sums.supervisedLoss == near(expected.sums.supervisedLoss));
  CHECK(found.sums.entropy == near(expected.sums.entropy));
  CHECK(found.sums.tokens == expected.sums.tokens);
  CHECK(found.sums.clippedLow == expected.sums.clippedLow);
  CHECK(found.sums.clippedHigh == expected.sums.clippedHigh);
  CHECK(found.sums.dualClipped == expected.sums.dualClipped);
  CHECK(relativeDifference(found.logprobs, expected.logprobs) < tolerance);
  CHECK(relativeDifference(found.gradHidden, expected.gradHidden) < tolerance);
  CHECK(relativeDifference(found.gradWeight, expected.gradWeight) < tolerance);
}

const std::vector<Shape> kShapes{{1, 1, 2}, {3, 4, 7}, {17, 16, 129}, {65, 24, 513}, {40, 8, 5000}};

}  // namespace

TEST_CASE("linearLoss: the CPU agrees with the reference in every sum and gradient") {
  ReferenceBackend reference;
  const auto oneThread = createCpuBackend(1), twoThreads = createCpuBackend(2);
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.vocabSize);
      const Case given = randomCase(shape, variant.options, 3);
      const Result expected = lossOf(reference, given);
      checkNear(lossOf(*oneThread, given), expected, 2e-6);
      checkNear(lossOf(*twoThreads, given), expected, 2e-6);
    }
  }
}

TEST_CASE("linearLoss: supervised terms give the mean negative logprob") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(2);
  for (const Shape& shape : kShapes) {
    Case given = randomCase(shape, {}, 4);
    TokenTerms supervised;
    supervised.supervisedScale = 1 / static_cast<float>(shape.rows);
    given.terms.assign(given.terms.size(), supervised);
    const Result found = lossOf(*backend, given);
    checkNear(found, lossOf(reference, given), 2e-6);
    CHECK(found.sums.loss == found.sums.supervisedLoss);
    CHECK(found.sums.loss > 0);
  }
}

TEST_CASE("linearLoss: an excluded token has no probability and no gradient") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(2);
  for (const Shape& shape : kShapes) {
    if (shape.vocabSize == 2) continue;
    Case given = randomCase(shape, {}, 6);
    const int32_t excluded = static_cast<int32_t>(shape.vocabSize) - 1;
    for (size_t r = 0; r < given.terms.size(); ++r) {
      given.terms[r] = TokenTerms();
      given.terms[r].supervisedScale = 1;
      given.terms[r].excludedToken = excluded;
      given.targets[r] %= excluded;
    }
    const Result found = lossOf(*backend, given);
    checkNear(found, lossOf(reference, given), 2e-6);
    for (int64_t i = 0; i < shape.width; ++i) {
      CHECK(found.gradWeight[static_cast<size_t>(excluded * shape.width + i)] == 0.25f);  // as it was
    }
    // The same as a vocabulary without its last token.
    Case smaller = given;
    smaller.shape.vocabSize -= 1;
    smaller.weight.resize(static_cast<size_t>(smaller.shape.vocabSize * shape.width));
    for (TokenTerms& terms : smaller.terms) terms.excludedToken = -1;
    CHECK(relativeDifference(found.logprobs, lossOf(reference, smaller).logprobs) < 2e-6);
  }
}

TEST_CASE("linearLoss: a vocabulary of one token") {
  const auto backend = createCpuBackend(1);
  const Result found = lossOf(*backend, randomCase({3, 4, 1}, {}, 4));
  CHECK(found.logprobs == std::vector<float>(3, 0.0f));
  CHECK(found.entropy == std::vector<float>(3, 0.0f));
  CHECK(found.gradHidden == std::vector<float>(12, 0.0f));
  CHECK(found.gradWeight == std::vector<float>(4, 0.25f));
}

TEST_CASE("linearLoss: neither chunks nor micro-batches change the result beyond rounding") {
  const auto backend = createCpuBackend(2);
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    Case given = randomCase({90, 24, 700}, variant.options, 6);
    const Result whole = lossOf(*backend, given);
    for (const size_t limit : {size_t{1}, size_t{10'000}, size_t{100'000}}) {
      const Result chunked = lossOf(*backend, given, limit);
      checkNear(chunked, whole, 2e-6);
      CHECK(chunked.sums.workspaceBytes < whole.sums.workspaceBytes);
    }
    Result split = emptyResult(given);
    for (const auto& [begin, end] : {std::pair{0, 1}, {1, 40}, {40, 90}}) {
      addRows(*backend, given, begin, end, size_t{64} << 20, true, split);
    }
    checkNear(split, whole, 2e-6);
  }
}

TEST_CASE("linearLoss: the same call gives the same bits; without gradients the same logprobs") {
  const auto backend = createCpuBackend(2);
  const Case given = randomCase({200, 32, 512}, {}, 8);
  const Result first = lossOf(*backend, given), second = lossOf(*backend, given);
  CHECK(first.gradHidden == second.gradHidden);
  CHECK(first.gradWeight == second.gradWeight);
  CHECK(first.sums.loss == second.sums.loss);
  const Result forward = lossOf(*backend, given, size_t{64} << 20, false);
  CHECK(forward.logprobs == first.logprobs);
  CHECK(forward.entropy == first.entropy);
  CHECK(forward.sums.loss == first.sums.loss);
}

TEST_CASE("linearLoss: a large vocabulary stays within the workspace limit") {
  const auto backend = createCpuBackend(2);
  const Case given = randomCase({60, 2, 151'936}, {}, 9);
  const size_t limit = size_t{16} << 20;
  const Result found = lossOf(*backend, given, limit);
  CHECK(found.sums.workspaceBytes <= limit + 100'000);
  CHECK(found.sums.workspaceBytes > limit / 2);
  const Result whole = lossOf(*backend, given);
  CHECK(relativeDifference(found.logprobs, whole.logprobs) < 1e-6);
  CHECK(relativeDifference(found.gradHidden, whole.gradHidden) < 2e-6);
}

TEST_CASE("linearLoss: values that are not finite make the loss so") {
  const auto backend = createCpuBackend(1);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    CAPTURE(bad);
    for (const bool inWeight : {false, true}) {
      Case given = randomCase({20, 4, 300}, {}, 5);
      (inWeight ? given.weight : given.hidden)[7] = bad;
      CHECK_FALSE(std::isfinite(lossOf(*backend, given).sums.loss));
      CHECK_FALSE(std::isfinite(lossOf(*backend, given, size_t{64} << 20, false).sums.loss));
    }
  }
}

TEST_CASE("linearLoss: no rows, no loss") {
  const auto backend = createCpuBackend(2);
  Case given = randomCase({1, 4, 7}, {}, 5);
  Result found = emptyResult(given);
  addRows(*backend, given, 0, 0, size_t{64} << 20, true, found);
  CHECK(found.sums.loss == 0);
  CHECK(found.gradWeight == std::vector<float>(28, 0.25f));
}
