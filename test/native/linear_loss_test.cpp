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
  std::vector<uint16_t> weightBits;  // used where not empty

  void roundWeight() {
    weightBits.clear();
    for (const float value : weight) weightBits.push_back(toBFloat16(value));
  }
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
              options,
              {}};
  const float scale = 1 / std::sqrt(static_cast<float>(shape.width));
  for (int64_t i = 0; i < shape.rows * shape.width; ++i) {
    result.hidden.push_back(normal(seed, 9, static_cast<uint64_t>(i)));
  }
  for (int64_t i = 0; i < shape.vocabSize * shape.width; ++i) {
    result.weight.push_back(scale * normal(seed, 10, static_cast<uint64_t>(i)));
  }
  return result;
}

// Computes rows [begin, end) of the case; gradients of the weight are added to result.gradWeight.
void addRows(Backend& backend, Case& given, int64_t begin, int64_t end, size_t workspaceLimit, bool backward,
             Result& result) {
  const auto& [rows, width, vocabSize] = given.shape;
  LinearLossInput input;
  input.hidden = Tensor(given.hidden.data(), {rows, width}).rows(begin, end);
  input.weight = given.weightBits.empty()
                     ? Tensor(given.weight.data(), {vocabSize, width})
                     : Tensor(given.weightBits.data(), DType::BFloat16, {vocabSize, width});
  input.targets = given.targets.data() + begin;
  input.terms = given.terms.data() + begin;
  input.options = given.options;
  input.workspaceLimit = workspaceLimit;
  LinearLossOutput output{result.logprobs.data() + begin, result.entropy.data() + begin, Tensor(), Tensor()};
  if (backward) {
    output.gradHidden = Tensor(result.gradHidden.data(), {rows, width}).rows(begin, end);
    if (!result.gradWeight.empty()) output.gradWeight = Tensor(result.gradWeight.data(), {vocabSize, width});
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
  // gradWeight keeps what is in it, because it accumulates.
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

// The weight is frozen: there is no gradient of it.
Result frozenLossOf(Backend& backend, Case given, size_t workspaceLimit = size_t{64} << 20) {
  Result result = emptyResult(given);
  result.gradWeight.clear();
  addRows(backend, given, 0, given.shape.rows, workspaceLimit, true, result);
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
    Case given = randomCase(shape, typicalLoss(), 4);
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
    Case given = randomCase(shape, typicalLoss(), 6);
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
      CHECK(found.gradWeight[static_cast<size_t>(excluded * shape.width + i)] == 0.25f);  // as it was before
    }
    // The result must be that of a vocabulary without its last token.
    Case smaller = given;
    smaller.shape.vocabSize -= 1;
    smaller.weight.resize(static_cast<size_t>(smaller.shape.vocabSize * shape.width));
    for (TokenTerms& terms : smaller.terms) terms.excludedToken = -1;
    CHECK(relativeDifference(found.logprobs, lossOf(reference, smaller).logprobs) < 2e-6);
  }
}

TEST_CASE("linearLoss: a vocabulary of one token") {
  const auto backend = createCpuBackend(1);
  const Result found = lossOf(*backend, randomCase({3, 4, 1}, typicalLoss(), 4));
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
  const Case given = randomCase({200, 32, 512}, typicalLoss(), 8);
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
  const Case given = randomCase({60, 2, 151'936}, typicalLoss(), 9);
  const size_t limit = size_t{2} << 20;
  const Result found = lossOf(*backend, given, limit);
  CHECK(found.sums.workspaceBytes <= limit + 100'000);
  CHECK(found.sums.workspaceBytes > limit / 2);
  const Result whole = lossOf(*backend, given);
  CHECK(relativeDifference(found.logprobs, whole.logprobs) < 1e-6);
  CHECK(relativeDifference(found.gradHidden, whole.gradHidden) < 2e-6);
}

// There is one tile of 512 tokens, or 64 tiles of 16. The largest logit of a row moves from tile to tile.
TEST_CASE("linearLoss: tiles of the vocabulary agree with the reference in every way to the gradient") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(2);
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    Case given = randomCase({40, 24, 1019}, variant.options, 12);
    for (size_t r = 0; r < given.terms.size(); r += 3) {
      given.terms[r].excludedToken =
          static_cast<int32_t>((static_cast<size_t>(given.targets[r]) + 1 + r) % 1019);
    }
    const Result expected = lossOf(reference, given);
    for (const size_t limit : {size_t{40 * 16 * 4}, size_t{40 * 512 * 4}}) {
      CAPTURE(limit);
      checkNear(lossOf(*backend, given, limit), expected, 3e-6);
      const Result frozen = frozenLossOf(*backend, given, limit);
      CHECK(relativeDifference(frozen.gradHidden, expected.gradHidden) < 3e-6);
      CHECK(relativeDifference(frozen.logprobs, expected.logprobs) < 3e-6);
      CHECK(frozen.sums.loss == doctest::Approx(expected.sums.loss).epsilon(3e-6).scale(1));
      const Result forward = lossOf(*backend, given, limit, false);
      CHECK(relativeDifference(forward.logprobs, expected.logprobs) < 3e-6);
      CHECK(relativeDifference(forward.entropy, expected.entropy) < 3e-6);
    }
    CHECK(relativeDifference(frozenLossOf(*backend, given).gradHidden, expected.gradHidden) < 3e-6);
  }
}

TEST_CASE("linearLoss: tiles keep the digits of near-certain tokens, wherever they lie") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(1);
  Case given = randomCase({24, 16, 400}, typicalLoss(), 13);
  TokenTerms supervised;
  supervised.supervisedScale = 1;
  for (size_t r = 0; r < given.terms.size(); ++r) {
    given.terms[r] = supervised;
    given.targets[r] = static_cast<int32_t>(r * 16 + r % 16);
    // The target's weight points where the row does, which makes a logit of 15 to 40.
    for (size_t i = 0; i < 16; ++i) {
      const float size = 15 + static_cast<float>(r);
      given.weight[static_cast<size_t>(given.targets[r]) * 16 + i] = i == r % 16 ? size : 0;
      given.hidden[r * 16 + i] = i == r % 16 ? 1 : 0.01f;
    }
  }
  const Result expected = lossOf(reference, given), tiles = frozenLossOf(*backend, given, 24 * 16 * 4);
  for (size_t r = 0; r < given.terms.size(); ++r) {
    // 1 + the other exponentials is summed in float32.
    CHECK(std::abs(tiles.logprobs[r] - expected.logprobs[r]) <
          6e-8f + 1e-5f * std::abs(expected.logprobs[r]));
  }
  CHECK(relativeDifference(tiles.gradHidden, expected.gradHidden) < 1e-5);
  CHECK(relativeDifference(lossOf(*backend, given, 24 * 16 * 4).gradWeight, expected.gradWeight) < 1e-5);
}

TEST_CASE("linearLoss: bfloat16 weights, trained and frozen, whole and in tiles") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(2);
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    Case given = randomCase({40, 24, 1019}, variant.options, 14);
    given.roundWeight();
    const Result expected = lossOf(reference, given);
    for (const size_t limit : {size_t{40 * 16 * 6}, size_t{64} << 20}) {
      CAPTURE(limit);
      const Result found = lossOf(*backend, given, limit), frozen = frozenLossOf(*backend, given, limit);
      CHECK(relativeDifference(found.logprobs, expected.logprobs) < 3e-6);
      CHECK(relativeDifference(frozen.logprobs, expected.logprobs) < 3e-6);
      CHECK(found.sums.loss == doctest::Approx(expected.sums.loss).epsilon(1e-5).scale(1));
      // Gradients of logits are rounded to 8 bits.
      CHECK(relativeDifference(found.gradHidden, expected.gradHidden) < 0.01);
      CHECK(relativeDifference(frozen.gradHidden, expected.gradHidden) < 0.01);
      CHECK(relativeDifference(found.gradWeight, expected.gradWeight) < 0.01);
    }
  }
}

TEST_CASE("linearLoss: values that are not finite make the loss so") {
  const auto backend = createCpuBackend(1);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    CAPTURE(bad);
    for (const bool inWeight : {false, true}) {
      Case given = randomCase({20, 4, 300}, typicalLoss(), 5);
      (inWeight ? given.weight : given.hidden)[7] = bad;
      CHECK_FALSE(std::isfinite(lossOf(*backend, given).sums.loss));
      for (const size_t position : {size_t{7}, given.weight.size() - 1}) {
        Case tiled = randomCase({20, 4, 300}, typicalLoss(), 5);
        (inWeight ? tiled.weight[position] : tiled.hidden[7]) = bad;
        CHECK_FALSE(std::isfinite(lossOf(*backend, tiled, 20 * 16 * 4).sums.loss));
        CHECK_FALSE(std::isfinite(frozenLossOf(*backend, tiled, 20 * 16 * 4).sums.loss));
      }
      CHECK_FALSE(std::isfinite(lossOf(*backend, given, size_t{64} << 20, false).sums.loss));
    }
  }
}

TEST_CASE("linearLoss: no rows, no loss") {
  const auto backend = createCpuBackend(2);
  Case given = randomCase({1, 4, 7}, typicalLoss(), 5);
  Result found = emptyResult(given);
  addRows(*backend, given, 0, 0, size_t{64} << 20, true, found);
  CHECK(found.sums.loss == 0);
  CHECK(found.gradWeight == std::vector<float>(28, 0.25f));
}
