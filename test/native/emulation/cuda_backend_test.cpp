// The CUDA backend as a whole, host code and every kernel, on the emulated device: the table of the
// self-test, and an engine's whole life.
#include "cuda/cuda_backend.h"

#include <doctest/doctest.h>

#include <cmath>

#include "cuda/dispatch.h"
#include "cuda_emulation.h"
#include "emulated_backend.h"
#include "generation/packed_weights.h"
#include "runtime_emulation.h"
#include "self_test/runner.h"
#include "training/memory_plan.h"
#include "whole_engine.h"

using namespace hdpo;

namespace {

// Draws at temperature 1 differ where rounding moves a cumulative weight across a draw. This does not happen
// here.
void checkNear(const EngineRun& found, const EngineRun& expected, double tolerance) {
  CHECK(found.sampled == expected.sampled);
  CHECK(relativeDifference(found.logprobs, expected.logprobs) < tolerance);
  CHECK(relativeDifference(found.sampledLogprobs, expected.sampledLogprobs) < tolerance);
  CHECK(relativeDifference(found.numbers, expected.numbers) < tolerance);
}

}  // namespace

TEST_CASE("CUDA backend: every op of the self-test's table") {
  const auto cpu = createCpuBackend(2);
  emulation::setSeed(3);
  {
    const auto device = emulatedBackend();
    for (const self_test::OpRow& row : self_test::opTable(*device)) {
      const uint64_t replays = emulation::graphLaunches();
      const self_test::OpResult result = self_test::checkOp(row, *device, *cpu);
      CAPTURE(result.name);
      const bool decodes = result.name.starts_with("decodingStep");
      CHECK(emulation::graphLaunches() - replays == (decodes ? 2 * self_test::checkedShapes().size() : 0));
      CAPTURE(result.reason);
      CHECK(result.outcome == self_test::Outcome::Passed);
    }
  }
  CHECK(emulation::deviceAllocations() == 0);
}

TEST_CASE("CUDA backend: an engine's whole life gives what the CPU gives") {
  const std::vector<NamedConfig> configs =
      smallConfigs();  // each with another of the variants, because fibers are slow
  for (size_t i = 0; i < engineVariants().size(); ++i) {
    const NamedEngine variant = engineVariants()[i];
    const NamedConfig& named = configs[configs.size() - 1 - i];
    {
      CAPTURE(variant.name);
      CAPTURE(named.name);
      const auto cpu = createCpuBackend(1);
      const EngineRun expected = runEngine(*cpu, named.config, variant);
      {
        const auto device = emulatedBackend();
        const EngineRun found = runEngine(*device, named.config, variant);
        checkNear(found, expected, variant.format == PackedFormat::Float32 ? 1e-4 : 2e-2);
      }
      CHECK(emulation::deviceAllocations() == 0);
    }
  }
}

namespace {

struct GradientRun {
  std::vector<float> gradient;
  size_t activationBytes = 0;
};

GradientRun gradientOf(Backend& backend, const ModelConfig& config, const ModelOptions& options) {
  OwningLearner learner(backend, config, false, options, 7);
  learner.model.initialize(5);
  PolicyLossOptions loss = typicalLoss();
  loss.klCoefficient = 0.1f;
  learner.accumulate(policyBatch(config), Aggregation::TokenMean, loss, 1000, false, nullptr);
  const Tensor flat = learner.gradients().flat();
  GradientRun run;
  run.gradient.resize(static_cast<size_t>(flat.count()));
  backend.copyToHost(run.gradient.data(), flat.data, flat.bytes());
  run.activationBytes = trainingActivationBytes(backend, config, options, false, 1 << 20);
  return run;
}

double norm(const std::vector<float>& values) {
  double squares = 0;
  for (const float value : values) squares += double{value} * value;
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE(
    "CUDA backend: with activations in bfloat16 gradients point where those of float32 do, in less memory") {
  ModelOptions full, lora;
  full.precision = lora.precision = DType::BFloat16;
  AdapterOptions adapter = typicalAdapter();
  adapter.rank = 4;
  adapter.targets = {true, true, true, true, true, true, true};
  lora.adapter = adapter;
  for (const NamedConfig& named : smallConfigs()) {
    for (const ModelOptions& options : {full, lora}) {
      CAPTURE(named.name);
      CAPTURE(options.adapter.has_value());
      const auto cpu = createCpuBackend(1);
      const auto device = emulatedBackend();
      const GradientRun expected = gradientOf(*cpu, named.config, options),
                        found = gradientOf(*device, named.config, options);
      std::vector<float> difference = found.gradient;
      for (size_t i = 0; i < difference.size(); ++i) difference[i] -= expected.gradient[i];
      CHECK(norm(expected.gradient) > 0);
      CHECK(norm(difference) < 0.02 * norm(expected.gradient));
      CHECK(norm(difference) > 1e-4 * norm(expected.gradient));  // values are rounded at least on the way
      CHECK(static_cast<double>(found.activationBytes) <
            0.75 * static_cast<double>(expected.activationBytes));
    }
  }
}

TEST_CASE("CUDA backend: weights that are multiplied with as they are, are not held twice") {
  const ModelConfig config = smallConfig();
  const auto device = emulatedBackend();
  const AdapterOptions options = [] {
    AdapterOptions adapter = typicalAdapter();
    adapter.rank = 2;
    adapter.targets = {true, true, true, true, true, true, true};
    return adapter;
  }();
  const auto grownBy = [&](DType precision, PackedFormat format, const Adapter* adapter, bool merged) {
    const Parameters weights(*device, config, precision);
    const size_t before = device->availableBytes().value();
    PackedWeights packed(*device, weights, adapter, format);
    packed.setMerged(merged);
    packed.refresh();
    return before - device->availableBytes().value();
  };
  const Adapter adapter(*device, config, options);
  const auto planned = [&](PackedFormat format, DType precision) {
    return PackedWeights::bytes(*device, config, nullptr, format, precision);
  };
  CHECK(grownBy(DType::BFloat16, PackedFormat::BFloat16, nullptr, false) == 0);
  CHECK(grownBy(DType::Float32, PackedFormat::Float32, nullptr, false) == 0);
  CHECK(planned(PackedFormat::BFloat16, DType::BFloat16) == 0);
  CHECK(planned(PackedFormat::BFloat16, DType::Float32) > 0);
  CHECK(grownBy(DType::Float32, PackedFormat::BFloat16, nullptr, false) ==
        planned(PackedFormat::BFloat16, DType::Float32));
  // Weights with an adapter merged into them take memory of their own.
  CHECK(grownBy(DType::BFloat16, PackedFormat::BFloat16, &adapter, true) >=
        planned(PackedFormat::BFloat16, DType::Float32));
  CHECK(grownBy(DType::Float32, PackedFormat::Float32, &adapter, false) > 0);
}

TEST_CASE("CUDA backend: too little memory is an error that says what to lower, before the first step") {
  const ModelConfig config = smallConfig();
  const size_t memory = size_t{40} << 20;
  emulation::setDeviceMemory(memory);
  {
    const auto device = emulatedBackend();
    const std::string tooLarge = refusal([&] { Buffer(*device, size_t{64} << 20); });
    CHECK(contains(tooLarge, "ERR_OUT_OF_MEMORY an emulated GPU has "));
    CHECK(contains(tooLarge, "64 MiB more are needed: lower kvBudgetMiB or microBatchTokens"));
    OwningLearner learner(*device, config);
    const size_t held = memory - device->availableBytes().value();
    emulation::setDeviceMemory(held + 4096);
    const std::string step =
        refusal([&] { learner.supervisedStep(policyBatch(config), typicalOptimizer(), nullptr); });
    CHECK(contains(step, "ERR_MEMORY a training step"));
    CHECK(contains(step, "lower microBatchTokens"));
  }
  emulation::setDeviceMemory(size_t{1} << 40);
}

TEST_CASE("CUDA staging: the ring goes round, grows, and sends the same arrays once") {
  cuda::Staging staging(nullptr);
  std::vector<int32_t> values(100'000);
  for (int round = 0; round < 30; ++round) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i) + round;
    const auto first =
        staging.upload({{values.data(), 12}, {nullptr, 0}, {values.data(), values.size() * 4}});
    const auto again =
        staging.upload({{values.data(), 12}, {nullptr, 0}, {values.data(), values.size() * 4}});
    CHECK(first == again);
    cuda::synchronise(nullptr);
    CHECK(static_cast<const int32_t*>(first[0])[2] == values[2]);
    CHECK(static_cast<const int32_t*>(first[2])[99'999] == values[99'999]);
  }
  const size_t before = staging.bytes();
  std::vector<int32_t> large(3'000'000, 7);
  const auto grown = staging.upload({{large.data(), large.size() * 4}});
  cuda::synchronise(nullptr);
  CHECK(static_cast<const int32_t*>(grown[0])[2'999'999] == 7);
  CHECK(staging.bytes() > before);
}

TEST_CASE("CUDA staging: what an op sent first is still there when its second upload made the ring grow") {
  cuda::Staging staging(nullptr);
  for (const size_t count : {1'000'000, 4'000'000}) {
    const std::vector<int32_t> few = {1, 2, 3}, many(count, 7);
    const auto first = staging.upload({{few.data(), 12}});
    const size_t before = staging.bytes();
    const auto second = staging.upload({{many.data(), many.size() * 4}});
    CHECK(staging.bytes() > before);
    cuda::synchronise(nullptr);
    const auto* kept = static_cast<const int32_t*>(first[0]);
    CHECK(std::vector<int32_t>(kept, kept + 3) == few);
    CHECK(static_cast<const int32_t*>(second[0])[count - 1] == 7);
  }
}

TEST_CASE("CUDA staging: where the device has no room for a larger ring the next arrays get one") {
  const std::vector<int32_t> few = {1, 2, 3}, many(1'000'000, 7);
  const size_t held = emulation::deviceAllocations();
  {
    cuda::Staging staging(nullptr);
    emulation::setDeviceMemory(size_t{3} << 20);
    CHECK(contains(refusal([&] { staging.upload({{many.data(), many.size() * 4}}); }), "ERR_OUT_OF_MEMORY"));
    emulation::setDeviceMemory(size_t{1} << 40);
    const auto sent = staging.upload({{few.data(), 12}});
    cuda::synchronise(nullptr);
    CHECK(static_cast<const int32_t*>(sent[0])[2] == 3);
  }
  emulation::setDeviceMemory(size_t{1} << 20);
  CHECK_THROWS_AS(cuda::Staging(nullptr), Error);
  emulation::setDeviceMemory(size_t{1} << 40);
  CHECK(emulation::deviceAllocations() == held);
}
