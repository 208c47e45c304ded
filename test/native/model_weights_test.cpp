#include "training/model_weights.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "core/float_formats.h"
#include "io/safetensors.h"
#include "temporary_folder.h"
#include "training/memory.h"
#include "training/memory_plan.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

ModelOptions bfloat16() {
  ModelOptions options;
  options.precision = DType::BFloat16;
  return options;
}

ModelConfig wide() {
  ModelConfig config = smallConfigs().back().config;
  config.hiddenSize = 32;
  config.intermediateSize = 64;
  config.headDim = 16;
  return config;
}

std::vector<float> logprobsOf(Learner& learner, const Model& model, const TrainingBatch& batch) {
  std::vector<float> logprobs(batch.tokens.size());
  learner.logprobs(model, batch.tokens, batch.offsets, 1, 4096, logprobs.data(), nullptr);
  return logprobs;
}

bool holdsRoundedMasters(ModelWeights& model) {
  for (const ParameterEntry& entry : model.weights().entries()) {
    const Tensor stored = model.weights().view(entry);
    const float* precise = model.precise().flat().f32() + entry.offset;
    for (int64_t i = 0; i < entry.count; ++i) {
      const bool same = entry.decays ? static_cast<const uint16_t*>(stored.data)[i] == toBFloat16(precise[i])
                                     : stored.f32()[i] == precise[i];
      if (!same) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("model weights: sixteen-bit formats round to nearest even and keep what is not a number") {
  for (const float value : {0.0f, -0.0f, 1.0f, -2.5f, 3.0e38f, 1e-30f, -0.1f}) {
    CHECK(std::abs(fromBFloat16(toBFloat16(value)) - value) <= std::abs(value) / 256);
  }
  CHECK(toBFloat16(1.00390625f) == 0x3F80);  // halfway, down to even
  CHECK(toBFloat16(1.01171875f) == 0x3F82);  // halfway, up to even
  CHECK(fromBFloat16(toBFloat16(INFINITY)) == INFINITY);
  CHECK(std::isinf(fromBFloat16(toBFloat16(3.4e38f))));
  CHECK(std::isnan(fromBFloat16(toBFloat16(NAN))));
  CHECK(fromHalf(0x3C00) == 1.0f);
  CHECK(fromHalf(0xC100) == -2.5f);
  CHECK(fromHalf(0x0001) == 0x1p-24f);
  CHECK(fromHalf(0x8200) == -0x1p-15f);
  CHECK(fromHalf(0x7BFF) == 65504.0f);
  CHECK(std::isinf(fromHalf(0xFC00)));
  CHECK(std::isnan(fromHalf(0x7C01)));
}

TEST_CASE("model weights: bfloat16 weights are the rounded masters, which are what is trained") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = wide();
    const TrainingBatch batch = policyBatch(config);
    const auto learner = learnerFor(*backend, config, 71, false, bfloat16());
    const auto precise = learnerFor(*backend, config, 71);
    CHECK(holdsRoundedMasters(learner->model));
    CHECK(learner->model.trainedCount() == learner->parameters().count());
    OptimizerOptions options = typicalOptimizer();
    options.learningRate = 1e-5f;  // far below what bfloat16 resolves at these weights
    double difference = 0;
    for (int step = 0; step < 4; ++step) {
      const StepResult result = learner->supervisedStep(batch, options, nullptr);
      difference = std::max(difference, std::abs(result.sums.loss -
                                                 precise->supervisedStep(batch, options, nullptr).sums.loss));
    }
    CHECK(difference < 0.05);
    CHECK(holdsRoundedMasters(learner->model));
    const auto start = learnerFor(*backend, config, 71);
    std::vector<float> moved = values(learner->model.precise().flat()),
                       movedPrecise = values(precise->parameters().flat());
    const std::vector<float> original = values(start->parameters().flat());
    for (size_t i = 0; i < moved.size(); ++i) {
      moved[i] -= original[i];
      movedPrecise[i] -= original[i];
    }
    CHECK(relativeDifference(moved, movedPrecise) < 0.35);  // most elements move by the same +-rate
  }
}

TEST_CASE("model weights: bfloat16 masters come back from a file exactly, and resume bit for bit") {
  const auto backend = createCpuBackend(2);
  const ModelConfig config = wide();
  const TrainingBatch batch = policyBatch(config);
  const TemporaryFolder folder;
  const auto learner = learnerFor(*backend, config, 72, false, bfloat16());
  OwningLearner resumed(*backend, config, false, bfloat16());
  learner->supervisedStep(batch, typicalOptimizer(), nullptr);
  learner->saveWeights(folder.file("weights"));
  learner->saveOptimizer(folder.file("optimizer"));
  resumed.loadWeights(folder.file("weights"));
  resumed.loadOptimizer(folder.file("optimizer"));
  learner->supervisedStep(batch, typicalOptimizer(), nullptr);
  resumed.supervisedStep(batch, typicalOptimizer(), nullptr);
  CHECK(values(learner->model.precise().flat()) == values(resumed.model.precise().flat()));
  CHECK(holdsRoundedMasters(resumed.model));
}

TEST_CASE("model weights: an adapter beside bfloat16 weights is trained in float32 memory alone") {
  const auto backend = createCpuBackend(2);
  const ModelConfig config = wide();
  const TrainingBatch batch = policyBatch(config);
  ModelOptions options = bfloat16();
  options.adapter = typicalAdapter();
  options.adapter->rank = 4;
  options.adapter->targets.fill(true);
  const auto learner = learnerFor(*backend, config, 73, false, options);
  CHECK(&learner->model.precise() == &learner->model.weights());  // no masters
  CHECK(&learner->model.trained() == learner->model.adapter());
  const std::vector<float> before = logprobsOf(*learner, learner->model.model(), batch);
  OptimizerOptions training = typicalOptimizer();
  training.learningRate = 1e-2f;
  double first = 0, last = 0;
  for (int step = 0; step < 40; ++step) {
    last = learner->supervisedStep(batch, training, nullptr).sums.loss;
    if (step == 0) first = last;
  }
  CHECK(last < first / 2);
}

TEST_CASE("model weights: what is not trainable refuses training and keeps no state for it") {
  const auto backend = createCpuBackend(2);
  ModelOptions options = bfloat16();
  options.trainable = false;
  const auto learner = learnerFor(*backend, smallConfig(), 74, false, options);
  CHECK(learner->model.trainedCount() == 0);
  CHECK(contains(
      refusal([&] { learner->supervisedStep(policyBatch(smallConfig()), typicalOptimizer(), nullptr); }),
      "ERR_STATE this model was made with trainable: false"));
  const MemoryPlan plan = planModel(smallConfig(), options);
  CHECK(plan.gradients + plan.optimizer + plan.adapters == 0);
  CHECK(plan.weights == learner->parameters().bytes());
}

TEST_CASE("model weights: the plan counts what is allocated") {
  const auto backend = createCpuBackend(1);
  const ModelConfig config = wide();
  const size_t matrices = [&] {
    size_t count = 0;
    for (const ParameterEntry& entry : parameterEntries(config))
      count += entry.decays ? static_cast<size_t>(entry.count) : 0;
    return count;
  }();
  const auto all = static_cast<size_t>(parameterCount(parameterEntries(config)));
  const MemoryPlan full = planModel(config, {}), half = planModel(config, bfloat16());
  CHECK(full.weights == all * 4);
  CHECK(full.gradients == all * 4);
  CHECK(full.optimizer == all * 8);
  CHECK(half.weights == all * 4 + matrices * 2 + (all - matrices) * 4);
  ModelOptions lora = bfloat16();
  lora.adapter = typicalAdapter();
  lora.adapter->targets.fill(true);
  const MemoryPlan adapted = planModel(config, lora);
  CHECK(adapted.weights == matrices * 2 + (all - matrices) * 4);
  CHECK(adapted.adapters == static_cast<size_t>(parameterCount(adapterEntries(config, *lora.adapter))) * 4);
  CHECK(adapted.optimizer == 2 * adapted.adapters);
  for (const bool recompute : {false, true}) {
    const auto learner = learnerFor(*backend, config, 75, recompute, lora);
    const TrainingBatch batch = policyBatch(config);
    learner->supervisedStep(batch, typicalOptimizer(), nullptr);
    Transformer transformer(*backend, config, recompute);
    const Model model = learner->model.model();
    transformer.forward(model, {32, 5, batch.tokens.data(), batch.offsets.data()}, true);
    CHECK(transformer.activationBytes() ==
          Transformer::trainingBytes(*backend, config, recompute, &*lora.adapter, DType::BFloat16, 32));
  }
}

TEST_CASE("model weights: a step or a model that memory does not hold is refused before it starts") {
  const size_t available = availableMemory();
  CHECK(available > size_t{1} << 20);
  CHECK(residentMemory() > size_t{1} << 20);
  CHECK(refusal([] { requireMemory(1, "this", "that"); }).empty());
  const std::string message =
      refusal([] { requireMemory(size_t{1} << 60, "a step", "lower microBatchTokens"); });
  CHECK(message.starts_with("ERR_MEMORY a step needs 1152921504.61 GB, but "));
  CHECK(message.ends_with("is available; lower microBatchTokens"));

  const auto backend = createCpuBackend(1);
  ModelConfig huge = smallConfig();
  huge.hiddenSize = 1 << 20;
  huge.intermediateSize = 1 << 20;
  CHECK(contains(refusal([&] { ModelWeights(*backend, huge, {}); }), "set precision: 'bfloat16'"));

  // Few parameters, but activations of terabytes: a long batch goes through a very wide feed-forward.
  ModelConfig broad = smallConfig();
  broad.maxPositions = 1 << 30;
  broad.intermediateSize = 1 << 16;
  OwningLearner learner(*backend, broad);
  TrainingBatch batch;
  batch.tokens.assign(size_t{1} << 22, 1);
  batch.mask.assign(batch.tokens.size(), 1);
  batch.mask[0] = 0;
  batch.offsets = {0, 1 << 22};
  const std::string refused = refusal([&] { learner.supervisedStep(batch, typicalOptimizer(), nullptr); });
  CHECK(contains(refused, "ERR_MEMORY a training step with micro-batches of 4194304 tokens"));
  CHECK(contains(refused, "lower microBatchTokens"));
  CHECK(contains(refused, "recompute: true"));
  CHECK(learner.optimizerStep() == 0);
}

TEST_CASE("weight files: shards are written with an index, read in any order, and each tensor once") {
  const auto backend = createCpuBackend(1);
  const TemporaryFolder folder;
  const ModelConfig config = smallConfigs().back().config;
  const auto saved = learnerFor(*backend, config, 76);
  SaveOptions options;
  options.maxShardBytes = 2000;
  saveWeights(saved->model, folder.file("model.safetensors"), options);
  const std::string index = readFile(folder.file("model.safetensors.index.json"));
  std::vector<std::string> shards;
  size_t total = 0, tensors = 0;
  for (int count = 1; count < 100 && shards.empty(); ++count) {
    for (int i = 1; i <= count; ++i) {
      char name[64];
      std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", i, count);
      if (index.find(name) == std::string::npos) break;
      shards.push_back(folder.file(name));
    }
    if (shards.size() != static_cast<size_t>(count)) shards.clear();
  }
  REQUIRE(shards.size() > 3);
  for (const std::string& shard : shards) {
    const SafetensorsFile file(shard);
    size_t bytes = 0;
    for (const auto& [name, entry] : file.entries()) {
      bytes += entry.bytes;
      CHECK(contains(index, "\"" + name + "\": \"" + shard.substr(shard.rfind('/') + 1) + "\""));
    }
    CHECK((bytes <= 2000 || file.entries().size() == 1));
    total += bytes;
    tensors += file.entries().size();
  }
  CHECK(tensors == saved->parameters().entries().size());
  CHECK(contains(index, "\"total_size\": " + std::to_string(total)));

  std::vector<std::string> reversed(shards.rbegin(), shards.rend());
  OwningLearner learner(*backend, config);
  loadWeights(learner.model, reversed);
  CHECK(values(learner.parameters().flat()) == values(saved->parameters().flat()));

  const std::vector<float> before = values(learner.parameters().flat());
  std::vector<std::string> fewer(shards.begin() + 1, shards.end()), twice = shards;
  twice.push_back(folder.file("copy"));
  writeFile(folder.file("copy"), readFile(shards[0]));
  CHECK(contains(refusal([&] { loadWeights(learner.model, fewer); }), "missing tensors: model.embed_tokens"));
  CHECK(contains(refusal([&] { loadWeights(learner.model, twice); }),
                 "tensor 'model.embed_tokens.weight' is in " + shards[0] + " too"));
  CHECK(values(learner.parameters().flat()) == before);
  CHECK(contains(refusal([&] { saveWeights(saved->model, folder.file("odd"), options); }),
                 "must end in .safetensors"));
}

TEST_CASE("weight files: every file type is rounded or widened to every kind of storage") {
  const auto backend = createCpuBackend(1);
  const TemporaryFolder folder;
  const ModelConfig config = wide();
  const auto saved = learnerFor(*backend, config, 77);
  for (const DType written : {DType::Float32, DType::BFloat16}) {
    saveWeights(saved->model, folder.file("weights"), {written, UINT64_MAX});
    for (const bool trainable : {false, true}) {
      ModelOptions options = bfloat16();
      options.trainable = trainable;
      OwningLearner half(*backend, config, false, options), whole(*backend, config);
      half.loadWeights(folder.file("weights"));
      whole.loadWeights(folder.file("weights"));
      Parameters rounded(*backend, config, DType::BFloat16);
      rounded.copyFrom(saved->parameters());
      for (const ParameterEntry& entry : rounded.entries()) {
        const Tensor wanted = rounded.view(entry);
        const Tensor found =
            half.parameters().view(half.parameters().entries()[&entry - rounded.entries().data()]);
        if (!entry.decays && written == DType::BFloat16) continue;  // norms were rounded by the file
        CHECK(std::memcmp(wanted.data, found.data, wanted.bytes()) == 0);
      }
      const double tolerance = written == DType::Float32 ? 1e-12 : 3e-3;
      CHECK(relativeDifference(values(whole.parameters().flat()), values(saved->parameters().flat())) <=
            tolerance);
    }
  }
}
