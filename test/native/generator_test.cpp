#include "generation/generator.h"

#include <map>

#include "generation_session.h"
#include "op_test.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

size_t blockBytes(const ModelConfig& config) {
  return static_cast<size_t>(config.layers * 2 * config.kvHeads * config.headDim * kvBlockTokens) *
         sizeof(float);
}

ModelConfig configNamed(const std::string& name) {
  for (const NamedConfig& named : smallConfigs()) {
    if (named.name == name) return named.config;
  }
  throw Error("ERR_TEST", "no configuration " + name);
}

// Several turns of several sequences, forked from one prompt, and what they sampled.
struct Play {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> logprobs;
  GenerationStats stats;
  bool operator==(const Play& other) const { return tokens == other.tokens && logprobs == other.logprobs; }
};

Play play(const ModelConfig& config, size_t kvBudgetBytes, int64_t maxBatchRows, int64_t sequences) {
  Session session(config, kvBudgetBytes, maxBatchRows);
  Generator& generator = *session.generator;
  generator.create(1, randomTokens(9, config.vocabSize, 60));
  session.prefill(1);
  session.run();
  Play result;
  result.tokens.resize(static_cast<size_t>(sequences));
  result.logprobs.resize(static_cast<size_t>(sequences));
  for (int64_t s = 0; s < sequences; ++s) generator.fork(2 + s, 1);
  for (int turn = 0; turn < 3; ++turn) {
    for (int64_t s = 0; s < sequences; ++s) {
      if (turn > 0)
        generator.append(2 + s, randomTokens(1 + s % 4, config.vocabSize, 61 + static_cast<uint64_t>(s)));
      session.sample(2 + s, sampling(5 + s % 7, 1000 + static_cast<uint64_t>(s)));
    }
    session.run();
    for (int64_t s = 0; s < sequences; ++s) {
      const SampleResult& sample = session.results.at(2 + s);
      CHECK(session.errors.at(2 + s) == "");
      CHECK(sample.reason == FinishReason::Length);
      CHECK(sample.tokens.size() == static_cast<size_t>(5 + s % 7));
      auto& logprobs = result.logprobs[static_cast<size_t>(s)];
      logprobs.insert(logprobs.end(), sample.logprobs.begin(), sample.logprobs.end());
    }
  }
  for (int64_t s = 0; s < sequences; ++s) result.tokens[static_cast<size_t>(s)] = generator.tokens(2 + s);
  result.stats = generator.stats();
  for (int64_t s = 0; s <= sequences; ++s) generator.release(1 + s);
  CHECK(generator.stats().kvBytesUsed == 0);
  CHECK(generator.stats().live == 0);
  return result;
}

}  // namespace

TEST_CASE("generator: recorded logprobs are those of the training forward, for every kind of model") {
  for (const NamedConfig& named : smallConfigs()) {
    for (const float temperature : {0.7f, 1.0f, 0.0f}) {
      CAPTURE(named.name);
      CAPTURE(temperature);
      Session session(named.config, kPlenty, 5);  // prefill takes several chunks
      session.generator->create(1, randomTokens(12, named.config.vocabSize, 51));
      std::vector<float> logprobs = session.sampled(1, sampling(20, 7, temperature)).logprobs;
      session.generator->append(1, {1, 2, 3});
      const SampleResult second = session.sampled(1, sampling(15, 7, temperature));
      logprobs.insert(logprobs.end(), 3, 0.0f);
      logprobs.insert(logprobs.end(), second.logprobs.begin(), second.logprobs.end());

      const std::vector<int32_t> tokens = session.generator->tokens(1);
      REQUIRE(tokens.size() == 12 + 20 + 3 + 15);
      OwningLearner learner(*session.backend, named.config, false);
      std::vector<float> expected(tokens.size());
      learner.logprobs(session.parameters, tokens, {0, static_cast<int32_t>(tokens.size())},
                       temperature == 0 ? 1 : temperature, 4096, expected.data(), nullptr);
      for (size_t i = 12; i < tokens.size(); ++i) {
        if (i >= 32 && i < 35) continue;  // appended
        CHECK(std::abs(logprobs[i - 12] - expected[i]) < 1e-4);
      }
    }
  }
}

TEST_CASE("generator: greedy samples take the likeliest token") {
  const ModelConfig config = configNamed("all options, untied");
  Session session(config);
  session.generator->create(1, {4, 2});
  const SampleResult greedy = session.sampled(1, sampling(6, 0, 0));
  OwningLearner learner(*session.backend, config, false);
  std::vector<int32_t> tokens = {4, 2};
  for (const int32_t taken : greedy.tokens) {
    std::vector<float> logprobs;
    for (int32_t candidate = 0; candidate < config.vocabSize; ++candidate) {
      std::vector<int32_t> longer = tokens;
      longer.push_back(candidate);
      std::vector<float> result(longer.size());
      learner.logprobs(session.parameters, longer, {0, static_cast<int32_t>(longer.size())}, 1, 4096,
                       result.data(), nullptr);
      logprobs.push_back(result.back());
    }
    CHECK(std::max_element(logprobs.begin(), logprobs.end()) - logprobs.begin() == taken);
    tokens.push_back(taken);
  }
}

TEST_CASE(
    "generator: a budget for one and a half sequences gives twenty the same bits as one without limit") {
  for (const char* name : {"grouped queries", "all options, untied"}) {
    CAPTURE(name);
    const ModelConfig config = configNamed(name);
    const Play unlimited = play(config, kPlenty, 256, 20);
    CHECK(unlimited.stats.evictions == 0);
    // The longest sequence has 9 + 3 * 11 + 2 * 4 = 50 tokens: four blocks.
    const Play tight = play(config, 6 * blockBytes(config), 256, 20);
    CHECK(tight == unlimited);
    CHECK(tight.stats.evictions > 0);
    CHECK(play(config, 4 * blockBytes(config), 7, 20) == unlimited);
    CHECK(play(config, 11 * blockBytes(config), 3, 20) == unlimited);
    CHECK(play(config, kPlenty, 1, 20) == unlimited);
  }
}

TEST_CASE("generator: a sample does not depend on what runs beside it, on the prefill or on forking") {
  const ModelConfig config = configNamed("qk norm");
  const std::vector<int32_t> prompt = randomTokens(20, config.vocabSize, 52);
  Session alone(config);
  alone.generator->create(1, prompt);
  const SampleResult expected = alone.sampled(1, sampling(25, 99));

  Session busy(config);
  for (SequenceId id = 1; id <= 40; ++id) {
    busy.generator->create(id, randomTokens(1 + id % 9, config.vocabSize, static_cast<uint64_t>(id)));
    busy.sample(id, sampling(3 + id, static_cast<uint64_t>(id)));
  }
  for (int i = 0; i < 5; ++i) busy.generator->step();
  busy.generator->create(100, prompt);
  busy.prefill(100);
  busy.generator->step();
  busy.generator->step();
  CHECK(busy.prefilled == std::vector<SequenceId>{100});
  busy.generator->fork(101, 100);
  busy.sample(101, sampling(25, 99));
  busy.generator->step();
  busy.generator->fork(102, 101);  // in the middle of the parent's sample
  busy.run();
  CHECK(busy.results.at(101).tokens == expected.tokens);
  CHECK(busy.results.at(101).logprobs == expected.logprobs);
  CHECK(busy.generator->tokens(102).size() == 21);
  const SampleResult rest = busy.sampled(102, sampling(24, 99));
  CHECK(rest.tokens == std::vector<int32_t>(expected.tokens.begin() + 1, expected.tokens.end()));
  // The parent is as it was.
  CHECK(busy.generator->tokens(100) == prompt);
  CHECK(busy.sampled(100, sampling(25, 99)).logprobs == expected.logprobs);
}

TEST_CASE("generator: draws follow the model's distribution") {
  const ModelConfig config = smallConfig();
  Session session(config);
  session.generator->create(1, {3, 1, 4});
  session.prefill(1);
  session.run();
  constexpr int64_t kDraws = 20000;
  std::vector<double> expected(static_cast<size_t>(config.vocabSize)), observed(expected.size());
  for (int64_t i = 0; i < kDraws; ++i) {
    session.generator->fork(2 + i, 1);
    session.sample(2 + i, sampling(1, static_cast<uint64_t>(i)));
  }
  session.run();
  for (int64_t i = 0; i < kDraws; ++i) {
    const SampleResult& sample = session.results.at(2 + i);
    observed[static_cast<size_t>(sample.tokens[0])] += 1;
    expected[static_cast<size_t>(sample.tokens[0])] = kDraws * std::exp(double{sample.logprobs[0]});
  }
  double statistic = 0, degrees = -1, pooledExpected = 0, pooledObserved = 0;
  for (size_t token = 0; token < expected.size(); ++token) {
    if (expected[token] < 10) {  // too rare to stand alone
      pooledExpected += expected[token];
      pooledObserved += observed[token];
      continue;
    }
    statistic += (observed[token] - expected[token]) * (observed[token] - expected[token]) / expected[token];
    degrees += 1;
  }
  CHECK(degrees >= 3);
  CHECK((statistic - degrees) / std::sqrt(2 * degrees) < 4);
  CHECK(std::abs(pooledObserved - pooledExpected) < 20);
}

TEST_CASE("generator: stop tokens and lengths end samples; the stop token is part of the result") {
  const ModelConfig config = smallConfig();
  Session session(config);
  session.generator->create(1, {1});
  const SampleResult free = session.sampled(1, sampling(30, 5));
  CHECK(free.reason == FinishReason::Length);
  CHECK(free.tokens.size() == 30);
  SamplingOptions options = sampling(30, 5);
  options.stopTokens = {free.tokens[11], config.vocabSize > 12 ? 12 : 0};
  session.generator->create(2, {1});
  const SampleResult stopped = session.sampled(2, options);
  CHECK(stopped.reason == FinishReason::StopToken);
  CHECK(stopped.tokens.back() == stopped.stopToken);
  CHECK(stopped.tokens.size() <= 12);
  CHECK(stopped.tokens.size() == stopped.logprobs.size());
  CHECK(std::equal(stopped.tokens.begin(), stopped.tokens.end(), free.tokens.begin()));
  std::vector<int32_t> all = {1};
  all.insert(all.end(), stopped.tokens.begin(), stopped.tokens.end());
  CHECK(session.generator->tokens(2) == all);
}

TEST_CASE("generator: stop strings match decoded bytes across token boundaries, in what was sampled alone") {
  const ModelConfig config = smallConfig();
  // Token t decodes to "<t>", split so that matches cross tokens. Token 0 is special and has no bytes.
  std::vector<std::string> bytes = {""};
  for (int t = 1; t < 12; ++t) bytes.push_back(std::string(1, static_cast<char>('a' + t)) + "-");
  bytes.resize(12);  // token 12 is beyond those of the tokenizer
  Session session(config, kPlenty, 256, bytes);
  session.generator->create(1, {1, 2, 3});
  const SampleResult free = session.sampled(1, sampling(40, 8));
  std::string text;
  std::vector<size_t> ends;  // where each token ends in the text
  for (const int32_t token : free.tokens) {
    if (token < 12) text += bytes[static_cast<size_t>(token)];
    ends.push_back(text.size());
  }
  REQUIRE(text.size() > 12);
  const std::string wanted = text.substr(5, 4), later = text.substr(9, 6);
  SamplingOptions options = sampling(40, 8);
  options.stopStrings = {"never", later, wanted};
  session.generator->create(2, {1, 2, 3});
  const SampleResult stopped = session.sampled(2, options);
  CHECK(stopped.reason == FinishReason::StopString);
  CHECK(stopped.stopString == 2);
  const size_t end = text.find(wanted) + wanted.size();
  const auto last = std::lower_bound(ends.begin(), ends.end(), end) - ends.begin();
  CHECK(stopped.tokens.size() == static_cast<size_t>(last) + 1);
  // The same text in the prompt does not count.
  session.generator->create(3, session.generator->tokens(2));
  options.stopStrings = {wanted};
  const SampleResult after = session.sampled(3, options);
  CHECK(after.tokens.size() > 0);
  // Without the tokens' bytes stop strings are refused.
  Session plain(config);
  plain.generator->create(1, {1});
  CHECK(contains(refusal([&] { plain.sample(1, options); }), "ERR_ARGUMENT stop strings"));
  CHECK(!plain.generator->hasWork());
}

TEST_CASE("generator: an abort ends a sample with what it has, and a release aborts") {
  Session session(smallConfig());
  session.generator->create(1, {1});
  session.generator->create(2, {2});
  session.sample(1, sampling(50, 1));
  session.sample(2, sampling(50, 1));
  for (int i = 0; i < 4; ++i) session.generator->step();
  session.generator->abort(1);
  CHECK(session.results.at(1).reason == FinishReason::Aborted);
  CHECK(session.results.at(1).tokens.size() == 4);
  CHECK(session.generator->tokens(1).size() == 5);
  session.generator->release(2);
  CHECK(session.results.at(2).reason == FinishReason::Aborted);
  CHECK(!session.generator->hasWork());
  session.generator->abort(1);  // nothing to end
  CHECK(session.sampled(1, sampling(3, 1)).tokens.size() == 3);
  session.generator->create(3, {1, 2, 3});
  session.prefill(3);
  session.generator->abort(3);
  CHECK(session.errors.at(3).starts_with("ERR_ABORTED"));
}

TEST_CASE(
    "generator: a sequence at the model's last position ends with its length, at once when it is there") {
  const ModelConfig config = smallConfig();  // 64 positions
  Session session(config);
  session.generator->create(1, randomTokens(60, config.vocabSize, 53));
  const SampleResult result = session.sampled(1, sampling(50, 2));
  CHECK(result.reason == FinishReason::Length);
  CHECK(result.tokens.size() == 4);
  session.sample(1, sampling(50, 2));
  CHECK(!session.generator->hasWork());
  CHECK(session.results.at(1).reason == FinishReason::Length);
  CHECK(session.results.at(1).tokens.empty());
  CHECK(
      contains(refusal([&] { session.generator->append(1, {1}); }), "65 tokens; the model has 64 positions"));
}

TEST_CASE(
    "generator: what can never fit the budget is refused at the call, what grows to it ends with its "
    "length") {
  const ModelConfig config = smallConfig();
  Session session(config, 2 * blockBytes(config));  // 32 tokens
  session.generator->create(1, randomTokens(40, config.vocabSize, 54));
  CHECK(contains(refusal([&] { session.sample(1, sampling(1, 0)); }), "ERR_KV_BUDGET 40 tokens"));
  CHECK(contains(refusal([&] { session.prefill(1); }), "ERR_KV_BUDGET 39 tokens"));
  session.generator->create(2, randomTokens(30, config.vocabSize, 55));
  const SampleResult result = session.sampled(2, sampling(20, 0));
  CHECK(result.reason == FinishReason::Length);
  CHECK(result.tokens.size() == 3);  // with 32 tokens cached, the 33rd is sampled
  CHECK(contains(refusal([&] { session.sample(2, sampling(1, 0)); }), "ERR_KV_BUDGET 33 tokens"));
}

TEST_CASE("generator: changed weights count from the next step on, for cached tokens too") {
  const ModelConfig config = configNamed("qkv bias");
  Session session(config), fresh(config, kPlenty, 256, {}, 77);
  const std::vector<int32_t> prompt = randomTokens(20, config.vocabSize, 56);
  session.generator->create(1, prompt);
  session.prefill(1);
  session.run();
  CHECK(session.generator->stats().kvBytesUsed > 0);
  randomise(session.parameters, 77);
  session.generator->weightsChanged();
  CHECK(session.generator->stats().kvBytesUsed == 0);
  fresh.generator->create(1, prompt);
  CHECK(session.sampled(1, sampling(9, 3)).logprobs == fresh.sampled(1, sampling(9, 3)).logprobs);
}

TEST_CASE(
    "generator: weights that are not finite fail the samples they reach; the others and later ones go on") {
  const ModelConfig config = configNamed("all options, untied");
  Session session(config);
  session.generator->create(1, {1, 5, 2});
  session.generator->create(2, {1, 6, 2});
  session.generator->create(3, {5, 5, 5});
  const float good = session.parameters.embedding.f32()[5 * config.hiddenSize];
  session.parameters.embedding.f32()[5 * config.hiddenSize] = std::numeric_limits<float>::quiet_NaN();
  SamplingOptions options = sampling(10, 4);
  options.logitBias = {{5, -std::numeric_limits<float>::infinity()}};
  for (SequenceId id = 1; id <= 3; ++id) session.sample(id, options);
  session.run();
  CHECK(session.errors.at(1).starts_with("ERR_NON_FINITE a logit at position 3"));
  CHECK(session.errors.at(3).starts_with("ERR_NON_FINITE"));
  CHECK(session.errors.at(2) == "");
  CHECK(session.results.at(2).tokens.size() == 10);
  CHECK(session.generator->tokens(1) == std::vector<int32_t>{1, 5, 2});
  session.parameters.embedding.f32()[5 * config.hiddenSize] = good;
  session.sample(1, options);  // its cache still holds the old keys
  session.run();
  CHECK(session.errors.at(1).starts_with("ERR_NON_FINITE"));
  session.generator->weightsChanged();
  CHECK(session.sampled(1, options).tokens.size() == 10);
  CHECK(session.errors.at(1) == "");
}

TEST_CASE("generator: a bias that bans every token fails the sample alone") {
  Session session(smallConfig());
  session.generator->create(1, {1});
  SamplingOptions options = sampling(3, 0);
  for (int32_t token = 0; token < 13; ++token) options.logitBias.emplace_back(token, -INFINITY);
  session.sampled(1, options);
  CHECK(session.errors.at(1).starts_with("ERR_ARGUMENT logitBias bans"));
  CHECK(session.sampled(1, sampling(3, 0)).tokens.size() == 3);
}

TEST_CASE("generator: misuse is refused") {
  Session session(smallConfig());
  Generator& generator = *session.generator;
  generator.create(1, {1, 2});
  CHECK(refusal([&] { generator.create(1, {1}); }).starts_with("ERR_SEQUENCE"));
  CHECK(refusal([&] { generator.create(2, {}); }).starts_with("ERR_ARGUMENT"));
  CHECK(refusal([&] { generator.create(2, {13}); }).starts_with("ERR_ARGUMENT token 13"));
  CHECK(refusal([&] { generator.create(2, std::vector<int32_t>(65, 1)); }).starts_with("ERR_ARGUMENT"));
  CHECK(refusal([&] { generator.fork(2, 9); }).starts_with("ERR_SEQUENCE"));
  CHECK(refusal([&] { generator.fork(1, 1); }).starts_with("ERR_SEQUENCE"));
  CHECK(refusal([&] { generator.append(1, {-1}); }).starts_with("ERR_ARGUMENT"));
  CHECK(refusal([&] { generator.release(9); }).starts_with("ERR_SEQUENCE"));
  CHECK(refusal([&] { session.sample(1, sampling(0, 0)); }).starts_with("ERR_ARGUMENT maxTokens"));
  session.sample(1, sampling(2, 0));
  CHECK(refusal([&] { session.sample(1, sampling(2, 0)); }).starts_with("ERR_BUSY"));
  CHECK(refusal([&] { session.prefill(1); }).starts_with("ERR_BUSY"));
  CHECK(refusal([&] { generator.append(1, {1}); }).starts_with("ERR_BUSY"));
  session.run();
  CHECK(session.results.at(1).tokens.size() == 2);
  CHECK(refusal([&] {
          Generator(*session.backend, session.parameters, {kPlenty, 0}, {});
        }).starts_with("ERR_ARGUMENT maxBatchRows"));
}

TEST_CASE("generator: callbacks may sample, fork and release") {
  Session session(smallConfig());
  Generator& generator = *session.generator;
  int ended = 0;
  generator.create(1, {1, 2, 3});
  generator.prefill(1, [&](std::exception_ptr) {
    for (SequenceId id = 2; id < 6; ++id) {
      generator.fork(id, 1);
      generator.sample(id, sampling(id, static_cast<uint64_t>(id)),
                       [&, id](std::exception_ptr, SampleResult) {
                         generator.release(id);
                         ++ended;
                       });
    }
    generator.release(1);
  });
  session.run();
  CHECK(ended == 4);
  CHECK(generator.stats().live == 0);
  CHECK(generator.stats().kvBytesUsed == 0);
}

TEST_CASE("generator: counts what it did") {
  Session session(smallConfig(), kPlenty, 4);
  session.generator->create(1, {1, 2, 3, 4, 5, 6, 7});
  session.sampled(1, sampling(5, 0));
  const GenerationStats stats = session.generator->stats();
  CHECK(stats.sampledTokens == 5);
  CHECK(stats.prefillTokens == 6);
  CHECK(stats.rows == 11);
  CHECK(stats.steps == 6);  // two chunks of prefill, of which the second samples, and four more tokens
  CHECK(stats.live == 1);
  CHECK(stats.sampling == 0);
  CHECK(stats.evictions == 0);
  CHECK(stats.kvBytesUsed == blockBytes(smallConfig()));
  CHECK(stats.seconds > 0);
}
