// What an engine does with a tiny model, end to end on any backend: draw weights, compute logprobs, take
// training steps of both kinds, generate with forks and evictions, save and load weights, adapter and
// optimiser.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "generation/generator.h"
#include "temporary_folder.h"
#include "training_batches.h"

namespace hdpo {

struct NamedEngine {
  const char* name;
  ModelOptions options;
  bool recompute = false;
  PackedFormat format = PackedFormat::Float32;
  DType kvPrecision = DType::Float32;
};

struct EngineRun {
  std::vector<float> logprobs, sampledLogprobs, numbers;
  std::vector<int32_t> sampled;
};

inline void generateInto(EngineRun& run, Backend& backend, ModelWeights& model, const NamedEngine& variant) {
  const size_t block = static_cast<size_t>(model.config().layers * 2 * model.config().kvHeads *
                                           model.config().headDim * kvBlockTokens) *
                       sizeOf(variant.kvPrecision);
  Generator generator(backend, model.weights(),
                      {6 * block, 24, variant.format, model.adapter(), variant.kvPrecision}, {});
  generator.create(1, randomTokens(19, model.config().vocabSize, 3));
  generator.fork(2, 1);
  generator.fork(3, 1);
  generator.append(3, randomTokens(5, model.config().vocabSize, 4));
  std::map<SequenceId, SampleResult> results;
  for (const SequenceId id : {1, 2, 3}) {
    SamplingOptions options = typicalSampling();
    options.maxTokens = 14;
    options.seed = static_cast<uint64_t>(id);
    if (id == 2) options.topP = 0.9f, options.topK = 7;
    if (id == 3) options.logitBias = {{2, 1.5f}, {4, -1.0f / 0.0f}, {2, 0.5f}};
    generator.sample(id, options, [&results, id](std::exception_ptr error, SampleResult result) {
      if (error) std::rethrow_exception(error);
      results[id] = std::move(result);
    });
  }
  while (generator.hasWork()) generator.step();
  for (const auto& [id, result] : results) {
    run.sampled.insert(run.sampled.end(), result.tokens.begin(), result.tokens.end());
    run.sampledLogprobs.insert(run.sampledLogprobs.end(), result.logprobs.begin(), result.logprobs.end());
  }
}

inline void logprobsInto(EngineRun& run, Learner& learner, const Model& model, const TrainingBatch& batch) {
  std::vector<float> found(batch.tokens.size()), entropies(batch.tokens.size());
  learner.logprobs(model, batch.tokens, batch.offsets, 0.9f, 16, found.data(), entropies.data());
  run.logprobs.insert(run.logprobs.end(), found.begin(), found.end());
  run.logprobs.insert(run.logprobs.end(), entropies.begin(), entropies.end());
}

inline EngineRun runEngine(Backend& backend, const ModelConfig& config, const NamedEngine& variant) {
  const ModelOptions& options = variant.options;
  const bool recompute = variant.recompute;
  EngineRun run;
  const TemporaryFolder folder;
  const TrainingBatch batch = policyBatch(config);
  OwningLearner learner(backend, config, recompute, options, 7);
  learner.model.initialize(5);
  PolicyLossOptions loss = typicalLoss();
  loss.klCoefficient = 0.1f;
  loss.entropyCoefficient = 0.01f;
  OptimizerOptions optimizer = typicalOptimizer();
  optimizer.microBatchTokens = 20;
  optimizer.weightDecay = 0.1f;
  logprobsInto(run, learner, learner.model.reference(), batch);
  for (int step = 0; step < 2; ++step) {
    const StepResult policy = learner.policyStep(batch, Aggregation::TokenMean, loss, optimizer, nullptr);
    const StepResult supervised = learner.supervisedStep(batch, optimizer, nullptr);
    for (const double number : {policy.sums.loss, policy.sums.kl, policy.gradientNorm, supervised.sums.loss,
                                supervised.gradientNorm}) {
      run.numbers.push_back(static_cast<float>(number));
    }
  }
  logprobsInto(run, learner, learner.model.model(), batch);
  generateInto(run, backend, learner.model, variant);
  learner.saveWeights(folder.file("model.safetensors"));
  learner.saveOptimizer(folder.file("optimizer.safetensors"));
  OwningLearner loaded(backend, config, recompute, options, 7);
  loaded.loadWeights(folder.file("model.safetensors"));
  if (learner.model.adapter()) {
    saveAdapter(learner.model.requireAdapter(), folder.file("adapter.safetensors"));
    loadAdapter(loaded.model.requireAdapter(), folder.file("adapter.safetensors"));
  }
  loaded.loadOptimizer(folder.file("optimizer.safetensors"));
  run.numbers.push_back(static_cast<float>(
      loaded.policyStep(batch, Aggregation::TokenMean, loss, optimizer, nullptr).gradientNorm));
  logprobsInto(run, loaded, loaded.model.model(), batch);
  return run;
}

inline std::vector<NamedEngine> engineVariants() {
  NamedEngine full{"float32", {}},
      brief{"bfloat16 with masters, recomputed", {}, true, PackedFormat::BFloat16};
  NamedEngine lora{"LoRA on bfloat16", {}, true, PackedFormat::BFloat16};
  NamedEngine integers{"int8 rollouts", {}, false, PackedFormat::Int8};
  brief.options.precision = lora.options.precision = brief.kvPrecision = DType::BFloat16;
  AdapterOptions adapter = typicalAdapter();
  adapter.rank = 3;
  adapter.dropout = 0.1f;
  adapter.targets = {true, false, true, true, true, true, true};
  lora.options.adapter = adapter;
  return {full, brief, lora, integers};
}

}  // namespace hdpo
