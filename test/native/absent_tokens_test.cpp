#include <cmath>
#include <map>

#include "generation_session.h"
#include "op_test.h"
#include "training_batches.h"

using namespace hdpo;

TEST_CASE(
    "generator: ids that are no tokens are never drawn, and the others as their shares among themselves") {
  const ModelConfig config = smallConfig();  // 13 tokens
  Session session(config, kPlenty, 256, {}, 50, {3, 11, 12}), all(config);
  const auto isAbsent = [](int32_t token) { return token == 3 || token >= 11; };
  std::map<int32_t, int> counts;
  std::map<int32_t, float> logprobs;
  constexpr int kDraws = 4000;
  int same = 0, present = 0;
  for (SequenceId id = 1; id <= kDraws; ++id) {
    session.generator->create(id, {1, 5, 2});
    all.generator->create(id, {1, 5, 2});
    const SampleResult drawn = session.sampled(id, sampling(1, static_cast<uint64_t>(id)));
    const SampleResult plain = all.sampled(id, sampling(1, static_cast<uint64_t>(id)));
    CHECK(!isAbsent(drawn.tokens[0]));
    ++counts[drawn.tokens[0]];
    logprobs[plain.tokens[0]] = plain.logprobs[0];
    if (plain.tokens[0] == drawn.tokens[0]) CHECK(plain.logprobs == drawn.logprobs);
    if (isAbsent(plain.tokens[0])) continue;
    ++present;
    same += plain.tokens == drawn.tokens ? 1 : 0;
  }
  CHECK(same == present);  // only what would have been absent is drawn again
  CHECK(present < kDraws);
  double total = 0;
  for (const auto& [token, logprob] : logprobs) total += isAbsent(token) ? 0 : std::exp(logprob);
  for (const auto& [token, count] : counts) {
    const double share = std::exp(logprobs.at(token)) / total;
    CHECK(std::abs(count - kDraws * share) < 5 * std::sqrt(kDraws * share) + 1);
  }
}

TEST_CASE("generator: ids that are no tokens are drawn neither greedily, nor filtered, nor for a bias") {
  Session session(smallConfig(), kPlenty, 256, {}, 50, {0, 2, 4, 6, 8, 10, 12});
  SamplingOptions greedy = sampling(40, 1, 0), filtered = sampling(40, 2, 3), biased = sampling(40, 3, 2);
  filtered.topK = 2;
  filtered.topP = 0.5f;
  biased.logitBias = {{4, 50.0f}};
  SequenceId id = 0;
  for (const SamplingOptions& options : {greedy, filtered, biased}) {
    session.generator->create(++id, {1, 5});
    const SampleResult result = session.sampled(id, options);
    CHECK(result.tokens.size() == 40);
    for (const int32_t token : result.tokens) CHECK(token % 2 == 1);
  }
  CHECK(contains(refusal([] { Session wrong(smallConfig(), kPlenty, 256, {}, 50, {13}); }),
                 "absentTokens holds 13"));
}
