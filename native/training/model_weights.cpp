#include "training/model_weights.h"

#include "core/error.h"
#include "training/memory.h"
#include "training/memory_plan.h"

namespace hdpo {

namespace {

// Checks the options before anything is allocated.
const ModelConfig& checked(Backend& backend, const ModelConfig& config, const ModelOptions& options) {
  const MemoryPlan plan = planModel(config, options);
  requireMemory(backend, plan.weights + plan.adapters, "holding this model's weights",
                options.precision == DType::Float32 ? "set precision: 'bfloat16', or free memory"
                : options.hasMasters()              ? "train a LoRA adapter, which needs no float32 masters"
                                                    : "free memory, or choose a smaller model");
  return config;
}

}  // namespace

ModelWeights::ModelWeights(Backend& backend, const ModelConfig& config, const ModelOptions& options)
    : options_(options), weights_(backend, checked(backend, config, options), options.precision) {
  if (options.hasMasters()) masters_.emplace(backend, config);
  if (options.adapter) adapter_.emplace(backend, config, *options.adapter);
}

Adapter& ModelWeights::requireAdapter() {
  require(adapter_.has_value(), "ERR_STATE",
          "this model has no adapter; it was made without the lora option");
  return *adapter_;
}

void ModelWeights::preciseChanged() {
  if (masters_) weights_.copyFrom(*masters_);
}

ParameterSet& ModelWeights::trained() {
  require(options_.trainable, "ERR_STATE", "this model was made with trainable: false");
  if (adapter_) return *adapter_;
  return precise();
}

int64_t ModelWeights::trainedCount() const {
  if (!options_.trainable) return 0;
  return adapter_ ? adapter_->count() : weights_.count();
}

void ModelWeights::initialize(uint64_t seed) {
  precise().initialize(seed);
  preciseChanged();
  if (adapter_) adapter_->initialize(seed);
}

void ModelWeights::merge() {
  requireAdapter();
  require(!merged_, "ERR_STATE", "the adapter is merged already");
  merged_ = true;
}

void ModelWeights::unmerge() {
  requireAdapter();
  require(merged_, "ERR_STATE", "the adapter is not merged");
  merged_ = false;
}

}  // namespace hdpo
