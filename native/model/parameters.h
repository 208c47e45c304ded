// All weights of a model in one flat float32 buffer, so that the optimiser, clipping and checkpoints are one
// loop. A layer's q, k, v (and gate, up) lie side by side: the fused matrices are views over the same memory
// that Hugging Face's names address.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "ops/buffer.h"

namespace hdpo {

struct ParameterEntry {
  std::string name;  // Hugging Face name, "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
  int64_t offset = 0;  // in elements
  int64_t count = 0;
  bool decays = false;  // weight decay applies: matrices yes; norms, biases no
};

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

class Parameters {
 public:
  Parameters(Backend& backend, const ModelConfig& config);  // zero-filled

  const ModelConfig& config() const { return config_; }
  const std::vector<ParameterEntry>& entries() const { return entries_; }
  int64_t count() const { return count_; }
  Tensor flat() const;                       // [count]
  Tensor view(const ParameterEntry&) const;  // with the entry's shape
  Tensor embedding;                          // [V, D]
  Tensor finalNorm;                          // [D]
  Tensor head;                               // [V, D]; the embedding itself when tied
  std::vector<LayerParameters> layers;

  void zero();
  void copyFrom(const Parameters& other);
  // Normal(0, 0.02), the two projections back into the residual stream scaled by 1 / sqrt(2 * layers); norms
  // 1; biases 0.
  void initialize(uint64_t seed);

 private:
  Backend& backend_;
  ModelConfig config_;
  std::vector<ParameterEntry> entries_;
  int64_t count_ = 0;
  Buffer storage_;
};

}  // namespace hdpo
