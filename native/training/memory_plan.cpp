#include "training/memory_plan.h"

#include <algorithm>

namespace hdpo {

MemoryPlan planModel(const ModelConfig& config, const ModelOptions& options) {
  MemoryPlan plan;
  const std::vector<ParameterEntry> entries = parameterEntries(config);
  plan.weights = parameterBytes(entries, options.precision);
  if (options.hasMasters()) plan.weights += parameterBytes(entries, DType::Float32);
  size_t trained = parameterBytes(entries, DType::Float32);
  if (options.adapter) {
    trained = parameterBytes(adapterEntries(config, *options.adapter), DType::Float32);
    plan.adapters = trained;
  }
  plan.gradients = options.trainable ? trained : 0;
  plan.optimizer = options.trainable ? 2 * trained : 0;
  return plan;
}

size_t trainingActivationBytes(Backend& backend, const ModelConfig& config, const ModelOptions& options,
                               bool recompute, int64_t microBatchTokens) {
  const AdapterOptions* adapter = options.adapter ? &*options.adapter : nullptr;
  const size_t row =
      static_cast<size_t>(config.hiddenSize) * sizeOf(backend.activationType(options.precision));
  const size_t logits = static_cast<size_t>(config.vocabSize) * sizeof(float);
  // The loss adds the predictors, their gradients, these gradients scattered to all rows, and its chunk of
  // logits.
  return Transformer::trainingBytes(backend, config, recompute, adapter, options.precision,
                                    microBatchTokens) +
         3 * static_cast<size_t>(microBatchTokens) * row +
         std::min(std::max(backend.linearLossWorkspace(), logits),
                  static_cast<size_t>(microBatchTokens) * logits);
}

}  // namespace hdpo
