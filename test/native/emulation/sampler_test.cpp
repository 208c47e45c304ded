// Sampling on the device, compared with the host's sampler: the same seeds give the same tokens and logprobs.
#include "cuda/sampler.h"

#include <doctest/doctest.h>

#include "generation/sampler.h"
#include "kernel_test.h"
#include "self_test/typical_options.h"

using namespace hdpo;

namespace {

std::vector<cuda::DeviceSampledToken> onDevice(std::vector<SamplingRow>& rows, int64_t vocabSize) {
  Values logits;
  std::vector<cuda::DeviceSamplingRow> options;
  std::vector<cuda::DeviceLogitBias> biases;
  for (const SamplingRow& row : rows) {
    logits.insert(logits.end(), row.logits, row.logits + vocabSize);
    const SamplingOptions& o = *row.options;
    const auto begin = static_cast<int32_t>(biases.size());
    for (const auto& [token, bias] : o.logitBias) biases.push_back({token, bias, 0});
    options.push_back({o.temperature, o.topP, o.minP, o.topK, o.seed, row.position, begin,
                       static_cast<int32_t>(biases.size())});
  }
  std::vector<cuda::DeviceSampledToken> tokens(rows.size());
  cuda::sampleTokens(nullptr, tokens.data(), logits.data(), options.data(), biases.data(),
                     {static_cast<int64_t>(rows.size()), vocabSize});
  return tokens;
}

void compare(std::vector<SamplingRow>& rows, int64_t vocabSize) {
  std::vector<SampledToken> expected(rows.size());
  sampleTokens(rows.data(), static_cast<int64_t>(rows.size()), vocabSize, expected.data());
  const auto found = onDevice(rows, vocabSize);
  for (size_t r = 0; r < rows.size(); ++r) {
    CAPTURE(r);
    CHECK(found[r].status == static_cast<int32_t>(expected[r].status));
    CHECK(found[r].token == expected[r].token);
    CHECK(found[r].logprob == doctest::Approx(expected[r].logprob).epsilon(2e-6).scale(1));
  }
}

std::vector<SamplingOptions> variants() {
  std::vector<SamplingOptions> result(12, typicalSampling());
  result[1].temperature = 0;
  result[2].temperature = 0.6f;
  result[3].topK = 1;
  result[4].topK = 20;
  result[5].topP = 0.9f;
  result[6].topP = 1e-6f;
  result[7].minP = 0.1f;
  result[8].topK = 50;
  result[8].topP = 0.8f;
  result[8].minP = 0.02f;
  result[8].temperature = 1.3f;
  result[9].logitBias = {{0, -std::numeric_limits<float>::infinity()}, {1, 5.0f}, {2, -3.0f}};
  result[10] = result[9];
  result[10].temperature = 0;
  result[11] = result[9];
  result[11].topP = 0.7f;
  result[11].topK = 3;
  return result;
}

}  // namespace

TEST_CASE("cuda sampleTokens: the host's tokens and logprobs for every option") {
  std::vector<SamplingOptions> options = variants();
  for (const int64_t vocabSize : {3, 40, 2051}) {
    CAPTURE(vocabSize);
    emulation::setSeed(static_cast<uint64_t>(vocabSize));
    const Values sharp = randomValues(vocabSize, 1, 3), flat = randomValues(vocabSize, 2, 0.1f);
    std::vector<SamplingRow> rows;
    for (size_t v = 0; v < options.size(); ++v) {
      options[v].seed = 17 + v;
      for (const Values* logits : {&sharp, &flat}) {
        for (int64_t position = 0; position < (vocabSize < 100 ? 3 : 1); ++position)
          rows.push_back({logits->data(), &options[v], position});
      }
    }
    compare(rows, vocabSize);
  }
}

TEST_CASE(
    "cuda sampleTokens: ties go to the lower token, in the greedy choice and at the edge of top-k and "
    "top-p") {
  Values logits(700, 0.0f);
  logits[300] = logits[500] = 1;
  std::vector<SamplingOptions> options(5, typicalSampling());
  options[0].temperature = 0;
  options[1].topK = 1;
  options[2].topK = 5;
  options[3].topP = 0.25f;
  options[4].topK = 100;
  options[4].topP = 0.5f;
  std::vector<SamplingRow> rows;
  for (SamplingOptions& option : options) {
    for (int64_t position = 0; position < 3; ++position) rows.push_back({logits.data(), &option, position});
  }
  compare(rows, 700);
  CHECK(onDevice(rows, 700)[0].token == 300);
}

TEST_CASE("cuda sampleTokens: what is not finite and what is banned altogether is said") {
  SamplingOptions plain = typicalSampling(), banned = typicalSampling();
  for (int32_t token = 0; token < 9; ++token)
    banned.logitBias.push_back({token, -std::numeric_limits<float>::infinity()});
  Values good(9, 1.0f), nan = good, infinite = good;
  nan[8] = std::numeric_limits<float>::quiet_NaN();
  infinite[3] = -std::numeric_limits<float>::infinity();
  std::vector<SamplingRow> rows{{good.data(), &plain, 0},
                                {nan.data(), &plain, 0},
                                {infinite.data(), &plain, 0},
                                {good.data(), &banned, 0}};
  compare(rows, 9);
  const auto found = onDevice(rows, 9);
  CHECK(found[1].status == 1);
  CHECK(found[2].status == 1);
  CHECK(found[3].status == 2);
}
