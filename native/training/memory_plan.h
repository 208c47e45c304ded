// How much memory a model takes, computed before it is allocated: for refusals that name what to change, and
// for people who choose how to train.
#pragma once

#include <cstdint>

#include "training/model_weights.h"

namespace hdpo {

struct MemoryPlan {
  size_t weights = 0;            // float32 masters included
  size_t generationWeights = 0;  // packed for generation, the adapter included
  size_t adapters = 0;
  size_t gradients = 0, optimizer = 0;
  size_t activations = 0;  // for one micro-batch, the loss included
  size_t kvCache = 0;
  size_t generationWorkspace = 0;  // for a step with as many rows as it may have

  size_t total() const {
    return weights + generationWeights + adapters + gradients + optimizer + activations + kvCache +
           generationWorkspace;
  }
};

// Plans weights, adapters, gradients and optimiser state: what follows from the model alone.
MemoryPlan planModel(const ModelConfig& config, const ModelOptions& options);

// Bytes for the transformer, the loss and what lies between the two.
size_t trainingActivationBytes(Backend& backend, const ModelConfig& config, const ModelOptions& options,
                               bool recompute, int64_t microBatchTokens);

}  // namespace hdpo
