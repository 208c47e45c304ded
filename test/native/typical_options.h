// The options of training that native tests run with where they are not about one.
#pragma once

#include "self_test/typical_options.h"
#include "training/learner.h"

namespace hdpo {

inline OptimizerOptions typicalOptimizer() {
  const AdamWOptions update = typicalAdamW();
  OptimizerOptions options;
  options.learningRate = update.learningRate;
  options.beta1 = update.beta1;
  options.beta2 = update.beta2;
  options.epsilon = update.epsilon;
  options.weightDecay = update.weightDecay;
  options.maxGradientNorm = 1;
  return options;
}

// Without a target.
inline AdapterOptions typicalAdapter() {
  AdapterOptions options;
  options.rank = 16;
  options.alpha = 32;
  return options;
}

}  // namespace hdpo
