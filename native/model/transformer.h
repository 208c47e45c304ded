// Forward and hand-written backward of the packed transformer. Written once against ops; knows no device.
#pragma once

#include <cstdint>
#include <vector>

#include "model/parameters.h"

namespace hdpo {

// Sequences laid end to end. All arrays in host memory, alive for the call.
struct PackedBatch {
  int64_t tokenCount = 0, sequenceCount = 0;
  const int32_t* tokens = nullptr;   // [N]
  const int32_t* offsets = nullptr;  // [S + 1]; positions restart at 0 in each sequence
};

class Transformer {
 public:
  // recompute: keep only each layer's input and run the layer again in backward (less memory, about 1/3 more time).
  Transformer(Backend& backend, const ModelConfig& config, bool recompute);

  // Returns hidden states after the final norm [N, D], valid until the next forward. keepActivations: backward will follow.
  Tensor forward(const Parameters& parameters, const PackedBatch& batch, bool keepActivations);
  // gradHidden [N, D] is overwritten as scratch. Adds to `gradients`, which has the parameters' layout.
  void backward(const Parameters& parameters, Parameters& gradients, const PackedBatch& batch, const Tensor& gradHidden);

  size_t activationBytes() const;  // held now

 private:
  struct LayerActivations;
  Backend& backend_;
  ModelConfig config_;
  bool recompute_;
  // H2b: members as needed
  void* reserved_ = nullptr;
};

}  // namespace hdpo
