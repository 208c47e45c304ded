#include "generation/sampler.h"

#include <numeric>

#include "op_test.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
using Status = SampledToken::Status;

SampledToken draw(const Values& logits, const SamplingOptions& options, int64_t position = 0) {
  SampledToken token;
  const SamplingRow row{logits.data(), &options, position};
  sampleTokens(&row, 1, static_cast<int64_t>(logits.size()), &token);
  return token;
}

std::vector<double> softmax(const Values& logits, double temperature) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> result;
  double total = 0;
  for (const float logit : logits) {
    result.push_back(std::exp((logit - largest) / temperature));
    total += result.back();
  }
  for (double& p : result) p /= total;
  return result;
}

std::vector<int64_t> counts(const Values& logits, const SamplingOptions& options, int64_t draws) {
  std::vector<SamplingRow> rows;
  for (int64_t i = 0; i < draws; ++i) rows.push_back({logits.data(), &options, i});
  std::vector<SampledToken> tokens(rows.size());
  sampleTokens(rows.data(), draws, static_cast<int64_t>(logits.size()), tokens.data());
  std::vector<int64_t> result(logits.size());
  for (const SampledToken& token : tokens) ++result.at(static_cast<size_t>(token.token));  // -1 throws
  return result;
}

// Pearson's statistic in standard deviations above its mean, (X - df) / sqrt(2 df). Tokens of probability 0
// must not occur.
double excess(const std::vector<int64_t>& observed, const std::vector<double>& probabilities) {
  const double draws = static_cast<double>(std::accumulate(observed.begin(), observed.end(), int64_t{0}));
  double statistic = 0, degrees = -1;
  for (size_t i = 0; i < observed.size(); ++i) {
    const double expected = probabilities[i] * draws;
    if (expected == 0) {
      CHECK(observed[i] == 0);
      continue;
    }
    REQUIRE(expected > 5);
    statistic += (static_cast<double>(observed[i]) - expected) *
                 (static_cast<double>(observed[i]) - expected) / expected;
    degrees += 1;
  }
  return degrees == 0 ? 0 : (statistic - degrees) / std::sqrt(2 * degrees);
}

void checkDistribution(const Values& logits, const SamplingOptions& options,
                       const std::vector<double>& expected) {
  CHECK(excess(counts(logits, options, 200000), expected) < 4);
}

// Keeps the given tokens of a distribution.
std::vector<double> only(std::vector<double> probabilities, const std::vector<size_t>& kept) {
  double total = 0;
  for (const size_t token : kept) total += probabilities[token];
  std::vector<double> result(probabilities.size(), 0.0);
  for (const size_t token : kept) result[token] = probabilities[token] / total;
  return result;
}

}  // namespace

TEST_CASE(
    "sampler: draws follow the softmax, at several temperatures and over several blocks of the vocabulary") {
  for (const int64_t vocab : {2, 13, 300, 700}) {
    const Values logits = randomValues(vocab, 9, 0.6f);
    for (const float temperature : {0.7f, 1.0f, 2.0f}) {
      CAPTURE(vocab);
      CAPTURE(temperature);
      SamplingOptions options = typicalSampling();
      options.temperature = temperature;
      options.seed = 17;
      checkDistribution(logits, options, softmax(logits, temperature));
    }
  }
}

TEST_CASE("sampler: a distribution it should not follow is told from the one it does") {
  const Values logits = randomValues(13, 9, 0.8f);
  CHECK(excess(counts(logits, typicalSampling(), 200000), softmax(logits, 1.1)) > 20);
}

TEST_CASE("sampler: a draw is a function of seed and position alone") {
  const Values logits = randomValues(100, 3, 0.1f);
  SamplingOptions first = typicalSampling(), second = typicalSampling();
  first.seed = 1;
  second.seed = (uint64_t{1} << 40) + 1;
  std::vector<SamplingRow> rows;
  for (int64_t i = 0; i < 64; ++i) rows.push_back({logits.data(), i % 2 ? &second : &first, i / 2});
  std::vector<SampledToken> together(64);
  sampleTokens(rows.data(), 64, 100, together.data());
  int sameSeed = 0, samePosition = 0;
  for (int64_t i = 0; i < 64; ++i) {
    CHECK(draw(logits, *rows[static_cast<size_t>(i)].options, i / 2).token ==
          together[static_cast<size_t>(i)].token);
    if (i % 2)
      samePosition += together[static_cast<size_t>(i)].token == together[static_cast<size_t>(i - 1)].token;
    if (i >= 2)
      sameSeed += together[static_cast<size_t>(i)].token == together[static_cast<size_t>(i - 2)].token;
  }
  CHECK(samePosition < 8);
  CHECK(sameSeed < 8);
}

TEST_CASE(
    "sampler: logprobs are those of the whole vocabulary at the temperature, whatever the filters and "
    "biases") {
  const Values logits = randomValues(1000, 4, 3);
  for (const float temperature : {0.0f, 0.5f, 1.0f, 1.7f}) {
    SamplingOptions options = typicalSampling();
    options.temperature = temperature;
    options.topK = 20;
    options.topP = 0.9f;
    options.logitBias = {{3, 5.0f}, {4, -kInfinity}};
    const std::vector<double> probabilities = softmax(logits, temperature == 0 ? 1 : temperature);
    for (int64_t position = 0; position < 20; ++position) {
      const SampledToken token = draw(logits, options, position);
      CHECK(token.logprob ==
            doctest::Approx(std::log(probabilities[static_cast<size_t>(token.token)])).epsilon(1e-5));
    }
  }
}

TEST_CASE(
    "sampler: temperature 0 takes the largest logit, the lower token of equals; tiny temperatures agree") {
  Values logits = randomValues(500, 5);
  logits[123] = logits[321] = 9;
  SamplingOptions options = typicalSampling();
  for (const float temperature : {0.0f, 1e-45f}) {
    options.temperature = temperature;
    if (temperature > 0) logits[321] = 8;
    for (int64_t position = 0; position < 10; ++position) CHECK(draw(logits, options, position).token == 123);
  }
  options.temperature = 0;
  options.logitBias = {{7, 100.0f}};
  CHECK(draw(logits, options).token == 7);
}

TEST_CASE("sampler: top-k, top-p and min-p keep what they should and nothing else") {
  // Probabilities 0.4, 0.3, 0.15, 0.1, 0.05, scrambled.
  Values logits;
  for (const double p : {0.1, 0.4, 0.05, 0.3, 0.15}) logits.push_back(static_cast<float>(std::log(p)));
  const std::vector<double> all = softmax(logits, 1);
  const auto check = [&](int32_t topK, float topP, float minP, const std::vector<size_t>& kept) {
    CAPTURE(topK);
    CAPTURE(topP);
    CAPTURE(minP);
    SamplingOptions options = typicalSampling();
    options.topK = topK;
    options.topP = topP;
    options.minP = minP;
    checkDistribution(logits, options, only(all, kept));
  };
  check(2, 1, 0, {1, 3});
  check(5, 1, 0, {0, 1, 2, 3, 4});
  check(99, 1, 0, {0, 1, 2, 3, 4});
  check(0, 0.39f, 0, {1});
  check(0, 0.41f, 0, {1, 3});
  check(0, 0.69f, 0, {1, 3});
  check(0, 0.8f, 0, {1, 3, 4});
  check(0, 1, 0.2f, {0, 1, 3, 4});
  check(0, 1, 1, {1});
  check(3, 0.8f, 0, {1, 3});  // within what top-k left, 0.4 + 0.3 are 0.82
  check(0, 0.96f, 0.5f, {1, 3});
  check(0, 1e-6f, 0, {1});
}

TEST_CASE(
    "sampler: top-p over a large vocabulary keeps the fewest tokens that reach it; ties go to lower tokens") {
  Values logits(1000, 0.0f);
  SamplingOptions options = typicalSampling();
  options.topP = 0.5f;  // 500 of 1,000 equal tokens are more than are sorted at first
  const std::vector<int64_t> half = counts(logits, options, 10000);
  for (size_t i = 500; i < half.size(); ++i) CHECK(half[i] == 0);
  CHECK(std::count_if(half.begin(), half.begin() + 500, [](int64_t n) { return n > 0; }) == 500);
  options.topP = 1;
  options.topK = 2;
  const std::vector<int64_t> two = counts(logits, options, 1000);
  CHECK(two[0] + two[1] == 1000);
  CHECK(two[0] > 400);
}

TEST_CASE("sampler: biases shift logits before the temperature, and ban") {
  const Values logits = randomValues(6, 6);
  SamplingOptions options = typicalSampling();
  options.temperature = 2;
  options.logitBias = {{1, 1.5f}, {2, -kInfinity}, {4, -0.5f}, {4, -0.25f}};
  Values biased = logits;
  biased[1] += 1.5f;
  biased[4] -= 0.75f;
  checkDistribution(logits, options, only(softmax(biased, 2), {0, 1, 3, 4, 5}));
  options.logitBias.clear();
  for (int32_t token = 0; token < 6; ++token) options.logitBias.emplace_back(token, -kInfinity);
  CHECK(draw(logits, options).status == Status::NothingAllowed);
  options.temperature = 0;
  CHECK(draw(logits, options).status == Status::NothingAllowed);
}

TEST_CASE("sampler: a logit that is not finite is reported, wherever it is") {
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    for (const int64_t vocab : {1, 16, 33, 513}) {
      for (const float temperature : {0.0f, 1.0f}) {
        Values logits = randomValues(vocab, 7);
        SamplingOptions options = typicalSampling();
        options.temperature = temperature;
        CHECK(draw(logits, options).status == Status::Drawn);
        logits.back() = poison;
        CHECK(draw(logits, options).status == Status::NonFinite);
      }
    }
  }
}

TEST_CASE("sampler: options are checked by name") {
  const auto refused = [](const std::function<void(SamplingOptions&)>& change) {
    SamplingOptions options = typicalSampling();
    change(options);
    return refusal([&] { checkSamplingOptions(options, 10); });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(refused([](SamplingOptions&) {}).empty());
  CHECK(contains(refused([](SamplingOptions& o) { o.maxTokens = 0; }), "ERR_ARGUMENT maxTokens"));
  CHECK(contains(refused([](SamplingOptions& o) { o.temperature = -1; }), "temperature"));
  CHECK(contains(refused([](SamplingOptions& o) { o.temperature = kInfinity; }), "temperature"));
  CHECK(contains(refused([&](SamplingOptions& o) { o.topP = nan; }), "topP"));
  CHECK(contains(refused([](SamplingOptions& o) { o.topP = 0; }), "topP"));
  CHECK(contains(refused([](SamplingOptions& o) { o.minP = 1.5f; }), "minP"));
  CHECK(contains(refused([](SamplingOptions& o) { o.topK = -1; }), "topK"));
  CHECK(contains(refused([](SamplingOptions& o) { o.stopTokens = {10}; }), "stopTokens"));
  CHECK(contains(refused([](SamplingOptions& o) { o.stopStrings = {""}; }), "stopStrings"));
  CHECK(contains(refused([](SamplingOptions& o) { o.logitBias = {{-1, 0.0f}}; }), "logitBias"));
  CHECK(contains(refused([&](SamplingOptions& o) { o.logitBias = {{1, nan}}; }), "logitBias"));
  CHECK(contains(refused([](SamplingOptions& o) { o.logitBias = {{1, kInfinity}}; }), "logitBias"));
}
