// All weights of a model. A layer's q, k, v (and gate, up) lie side by side: the fused matrices are views
// over the same memory that Hugging Face's names address.
#pragma once

#include <vector>

#include "model/config.h"
#include "model/parameter_set.h"

namespace hdpo {

std::vector<ParameterEntry> parameterEntries(const ModelConfig& config);

struct LayerParameters {
  Tensor inputNorm;           // [D]
  Tensor qkv;                 // [(H + 2K) * E, D]
  Tensor qkvBias;             // [(H + 2K) * E], empty without
  Tensor queryNorm, keyNorm;  // [E], empty without
  Tensor output;              // [D, H * E]
  Tensor postNorm;            // [D]
  Tensor gateUp;              // [2F, D]
  Tensor down;                // [D, F]
};

class Parameters : public ParameterSet {
 public:
  // All values are 0. `precision` is the type of the matrices; norms and biases are float32.
  Parameters(Backend& backend, const ModelConfig& config, DType precision = DType::Float32);

  const ModelConfig& config() const { return config_; }
  Tensor embedding;  // [V, D]
  Tensor finalNorm;  // [D]
  Tensor head;       // [V, D]; the embedding itself when tied
  std::vector<LayerParameters> layers;

  // Draws weights from Normal(0, 0.02), where the two projections back into the residual stream are scaled by
  // 1 / sqrt(2 * layers). Norms become 1, biases 0.
  void initialize(uint64_t seed);

 private:
  ModelConfig config_;
};

}  // namespace hdpo
