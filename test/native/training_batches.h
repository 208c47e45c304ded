// A training batch with every shape that matters, and learners of tiny models.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/error.h"
#include "small_models.h"
#include "training/learner.h"
#include "training/weight_files.h"
#include "typical_options.h"

namespace hdpo {

// Five sequences: one has a single token, one has no trained token, and masks have holes, as tool
// observations leave them.
inline TrainingBatch policyBatch(const ModelConfig& config) {
  TrainingBatch batch;
  batch.offsets = {0, 7, 8, 19, 23, 32};
  batch.tokens = randomTokens(32, config.vocabSize, 21);
  batch.mask.assign(32, 0);
  for (const int t : {2, 3, 5, 6, 10, 11, 12, 17, 18, 25, 26, 30, 31}) batch.mask[static_cast<size_t>(t)] = 1;
  batch.accuracyAdvantages = {0.8f, 1, -1.1f, 0.3f, 0.4f};
  batch.efficiencyAdvantages = {0.7f, 0, 0, 0, -0.9f};
  for (uint64_t t = 0; t < 32; ++t) {
    batch.oldLogprobs.push_back(-2.5f + 0.2f * normal(22, 0, t));
    batch.referenceLogprobs.push_back(-2.5f + 0.2f * normal(23, 0, t));
  }
  return batch;
}

// "CODE message" of the error that the action throws; empty where it throws none.
inline std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() + " " + error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct OwnedModel {
  ModelWeights model;
};

// A learner together with the model that it trains.
class OwningLearner : public OwnedModel, public Learner {
 public:
  OwningLearner(Backend& backend, const ModelConfig& config, bool recompute = false,
                const ModelOptions& options = {}, uint64_t seed = 0)
      : OwnedModel{ModelWeights(backend, config, options)}, Learner(backend, model, recompute, seed) {}

  Parameters& parameters() { return model.weights(); }
  void saveWeights(const std::string& path) { hdpo::saveWeights(model, path, {}); }
  void loadWeights(const std::string& path) { hdpo::loadWeights(model, {path}); }
};

inline std::unique_ptr<OwningLearner> learnerFor(Backend& backend, const ModelConfig& config, uint64_t seed,
                                                 bool recompute = false, const ModelOptions& options = {}) {
  auto learner = std::make_unique<OwningLearner>(backend, config, recompute, options, 77);
  randomise(learner->model.precise(), seed);
  learner->model.preciseChanged();
  if (learner->model.adapter()) randomise(*learner->model.adapter(), seed + 1000);
  return learner;
}

}  // namespace hdpo
