// The weights of a policy as it is trained, in one of four ways:
//   float32 in full     the weights themselves are trained
//   bfloat16 in full    float32 masters are trained, and rounded to the bfloat16 weights after every step
//   LoRA                the weights (float32 or bfloat16) are frozen; an adapter beside them is trained
//   not trainable       weights (and an adapter) to compute with
#pragma once

#include <memory>
#include <optional>

#include "model/adapter.h"
#include "model/parameters.h"
#include "model/transformer.h"

namespace hdpo {

struct ModelOptions {
  DType precision = DType::Float32;  // type of matrices
  std::optional<AdapterOptions> adapter;
  bool trainable = true;

  bool hasMasters() const { return trainable && !adapter && precision == DType::BFloat16; }
};

class ModelWeights {
 public:
  // All values are 0. Throws ERR_MEMORY where they do not fit.
  ModelWeights(Backend& backend, const ModelConfig& config, const ModelOptions& options);

  const ModelConfig& config() const { return weights_.config(); }
  const ModelOptions& options() const { return options_; }
  Parameters& weights() { return weights_; }
  const Parameters& weights() const { return weights_; }
  Adapter* adapter() { return adapter_ ? &*adapter_ : nullptr; }
  const Adapter* adapter() const { return adapter_ ? &*adapter_ : nullptr; }
  // Throws ERR_STATE where there is no adapter.
  Adapter& requireAdapter();

  // The most precise float32 values that are kept: the masters where there are any, else the weights.
  Parameters& precise() { return masters_ ? *masters_ : weights_; }
  const Parameters& precise() const { return masters_ ? *masters_ : weights_; }
  void preciseChanged();  // rounds the masters into the weights

  ParameterSet& trained();  // what the optimiser changes; ERR_STATE where nothing is trained
  int64_t trainedCount() const;
  void trainedChanged() {
    if (masters_) preciseChanged();
  }

  // The model with its adapter, where there is one; or without, as the reference that it is trained against.
  Model model(AdapterDropout dropout = {}) const { return {weights_, adapter(), dropout}; }
  Model reference() const { return {weights_}; }

  // Draws weights and adapter at random.
  void initialize(uint64_t seed);

  // A merged adapter counts as part of the weights: saveWeights writes their sum and generation reads it. The
  // weights themselves stay as they are, so that unmerging brings them back bit for bit and costs nothing.
  // The price is that the sum is computed wherever it is used. Both throw ERR_STATE where there is no
  // adapter; merge throws it where the adapter is merged already, unmerge where it is not.
  void merge();
  void unmerge();
  bool merged() const { return merged_; }

 private:
  ModelOptions options_;
  Parameters weights_;
  std::optional<Parameters> masters_;
  std::optional<Adapter> adapter_;
  bool merged_ = false;
};

}  // namespace hdpo
