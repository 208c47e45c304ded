// Generation with weights read in other formats than they are trained in, and with adapters.
#include <doctest/doctest.h>

#include <cmath>

#include "generation/generator.h"
#include "generation/packed_weights.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

constexpr size_t kPlenty = size_t{1} << 24;

SampleResult sampleOf(Generator& generator, SequenceId id, int64_t maxTokens) {
  SamplingOptions options = typicalSampling();
  options.maxTokens = maxTokens;
  options.seed = 5;
  SampleResult sampled;
  generator.sample(id, options, [&](std::exception_ptr error, SampleResult result) {
    if (error) std::rethrow_exception(error);
    sampled = std::move(result);
  });
  while (generator.hasWork()) generator.step();
  return sampled;
}

}  // namespace

TEST_CASE("generator: with an adapter, beside the weights or merged, it samples what training would say") {
  for (const NamedConfig& named : smallConfigs()) {
    CAPTURE(named.name);
    const auto backend = createCpuBackend(2);
    ModelOptions options;
    options.adapter = typicalAdapter();
    options.adapter->rank = 2;
    options.adapter->targets = {true, false, true, true, false, true, true};
    const auto learner = learnerFor(*backend, named.config, 81, false, options);
    GenerationOptions generation;
    generation.kvBudgetBytes = kPlenty;
    generation.adapter = learner->model.adapter();
    Generator generator(*backend, learner->parameters(), generation, {});
    for (int round = 0; round < 3; ++round) {
      CAPTURE(round);
      if (round == 1) {  // only the adapter has changed
        randomise(*learner->model.adapter(), 82);
        generator.adapterChanged();
      }
      if (round == 2) generator.setMerged(true);
      generator.create(round, randomTokens(9, named.config.vocabSize, 83));
      const SampleResult sampled = sampleOf(generator, round, 16);
      const std::vector<int32_t> tokens = generator.tokens(round);
      REQUIRE(tokens.size() == 25);
      std::vector<float> expected(25), base(25);
      learner->logprobs(learner->model.model(), tokens, {0, 25}, 1, 4096, expected.data(), nullptr);
      learner->logprobs(learner->model.reference(), tokens, {0, 25}, 1, 4096, base.data(), nullptr);
      double fromBase = 0;
      for (size_t i = 9; i < 25; ++i) {
        CHECK(std::abs(sampled.logprobs[i - 9] - expected[i]) < 1e-4);
        fromBase = std::max(fromBase, double{std::abs(expected[i] - base[i])});
      }
      CHECK(fromBase > 1e-2);
    }
  }
}

TEST_CASE("packed weights: beside bfloat16 weights an adapter keeps what rounding the sum would lose") {
  ModelConfig config = smallConfig();
  config.hiddenSize = 64;
  const auto backend = createCpuBackend(2);
  AdapterOptions options = typicalAdapter();
  options.rank = options.alpha = 4;
  options.targets.fill(true);
  Parameters weights(*backend, config, DType::BFloat16);
  Adapter adapter(*backend, config, options);
  randomise(weights, 86);
  randomise(adapter, 87);
  for (const ParameterEntry& entry : adapter.entries()) {  // updates of a thousandth of the weights
    float* values = adapter.flat().f32() + entry.offset;
    for (int64_t i = 0; i < entry.count; ++i) values[i] *= 0.03f;
  }
  std::vector<float> x, y(static_cast<size_t>(5 * config.qkvWidth()));
  for (uint64_t i = 0; i < 5 * 64; ++i) x.push_back(normal(88, 0, i));
  const auto project = [&](const Adapter* added, bool merged) {
    PackedWeights packed(*backend, weights, added, PackedFormat::BFloat16);
    packed.setMerged(merged);
    packed.refresh();
    packed.project(Tensor(y.data(), {5, config.qkvWidth()}), Tensor(x.data(), {5, 64}), 1, Projection::Qkv);
    return y;
  };
  // The update alone, in float32.
  std::vector<float> update(y.size());
  const AdapterGroup& group = adapter.group(1, Projection::Qkv);
  std::vector<float> down(static_cast<size_t>(5 * group.width())),
      spread(static_cast<size_t>(group.outputs * group.width()));
  const Tensor reduced(down.data(), {5, group.width()}), up(spread.data(), {group.outputs, group.width()});
  backend->spreadBlocks(up, group.up, group.blocks.data(), 3, options.scale());
  backend->matmul(reduced, Tensor(x.data(), {5, 64}), false, group.down, true, 0);
  backend->matmul(Tensor(update.data(), {5, group.outputs}), reduced, false, up, true, 0);

  const std::vector<float> base = project(nullptr, false);
  std::vector<float> beside = project(&adapter, false), merged = project(&adapter, true);
  for (size_t i = 0; i < base.size(); ++i) {
    beside[i] -= base[i];
    merged[i] -= base[i];
  }
  CHECK(relativeDifference(beside, update) < 0.01);
  CHECK(relativeDifference(merged, update) > 0.3);
}

TEST_CASE("generator: int8 and bfloat16 weights sample near the model, and say how likely they found it") {
  ModelConfig config = smallConfig();
  config.hiddenSize = 64;
  config.intermediateSize = 128;
  const auto backend = createCpuBackend(2);
  const auto learner = learnerFor(*backend, config, 84);
  for (const PackedFormat format : {PackedFormat::BFloat16, PackedFormat::Int8}) {
    CAPTURE(static_cast<int>(format));
    GenerationOptions generation;
    generation.kvBudgetBytes = kPlenty;
    generation.format = format;
    Generator generator(*backend, learner->parameters(), generation, {});
    generator.create(1, randomTokens(9, config.vocabSize, 85));
    const SampleResult sampled = sampleOf(generator, 1, 40);
    std::vector<float> expected(49);
    learner->logprobs(learner->model.model(), generator.tokens(1), {0, 49}, 1, 4096, expected.data(),
                      nullptr);
    double drift = 0;
    for (size_t i = 9; i < 49; ++i) drift += std::abs(sampled.logprobs[i - 9] - expected[i]) / 40;
    CHECK(drift > 1e-5);
    CHECK(drift < 0.1);
  }
}

TEST_CASE("generator: a bfloat16 cache holds twice the tokens and samples near the model, alone or forked") {
  const ModelConfig config = smallConfig();
  const auto backend = createCpuBackend(2);
  const auto learner = learnerFor(*backend, config, 89);
  GenerationOptions generation;
  generation.kvBudgetBytes = kPlenty;
  Generator exact(*backend, learner->parameters(), generation, {});
  generation.kvPrecision = DType::BFloat16;
  Generator generator(*backend, learner->parameters(), generation, {});
  const std::vector<int32_t> prompt = randomTokens(21, config.vocabSize, 90);
  for (Generator* each : {&exact, &generator}) each->create(1, prompt);
  const SampleResult sampled = sampleOf(generator, 1, 40), unrounded = sampleOf(exact, 1, 40);
  CHECK(generator.stats().kvBytesBudget == exact.stats().kvBytesBudget);
  CHECK(generator.stats().kvBytesUsed == exact.stats().kvBytesUsed / 2);
  std::vector<float> expected(61);
  learner->logprobs(learner->model.model(), generator.tokens(1), {0, 61}, 1, 4096, expected.data(), nullptr);
  double drift = 0;
  for (size_t i = 21; i < 61; ++i) drift += std::abs(sampled.logprobs[i - 21] - expected[i]) / 40;
  CHECK(sampled.logprobs != unrounded.logprobs);
  CHECK(drift < 0.05);
  // Draws are a function of seed and position: from the shared prefix on, a fork samples the same bits.
  generator.create(2, prompt);
  generator.prefill(2, [](std::exception_ptr error) { CHECK(error == nullptr); });
  while (generator.hasWork()) generator.step();
  generator.fork(3, 2);
  const SampleResult forked = sampleOf(generator, 3, 40), parent = sampleOf(generator, 2, 40);
  CHECK(forked.tokens == sampled.tokens);
  CHECK(forked.logprobs == sampled.logprobs);
  CHECK(parent.logprobs == sampled.logprobs);
}
