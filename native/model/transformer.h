// Forward and hand-written backward of the packed transformer. Written once against ops; knows no device.
//
// What a forward with keepActivations holds, in float32 values a token:
//   each layer  2 D (its input, the stream after attention) + (H + 2K) E (qkv) + H E (attention) + H
//   (log-sum-exp)
//               + 2 F (gate and up) + 2 (inverse RMS) [+ H + K with QK-norm]
//   and 2 D + 1 for the last layer's output, the final norm and its inverse RMS.
// Normalised inputs, rotated QK-norm heads and the SwiGLU product are recomputed in backward: cheap next to
// the matrix products, and they would nearly double the above. With `recompute` a layer keeps only its input
// (D); one layer's activations are shared. Scratch on top, shared by all layers: D in forward, 2 D in
// backward, plus
//   max(F in forward, 3 F in backward; (H + 2K) E [twice with QK-norm] + H E in backward).
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

class Carver;

class Transformer {
 public:
  // recompute: keep only each layer's input and run the layer again in backward (less memory, about 1/3 more
  // time).
  Transformer(Backend& backend, const ModelConfig& config, bool recompute);

  // Returns hidden states after the final norm [N, D], valid until the next forward. keepActivations:
  // backward will follow. Tokens outside the vocabulary, empty or too long sequences: ERR_BATCH.
  Tensor forward(const Parameters& parameters, const PackedBatch& batch, bool keepActivations);
  // After a forward of the same batch with keepActivations. gradHidden [N, D] is the gradient of what forward
  // returned. Adds to `gradients`, which has the parameters' layout; with tied embeddings the head's gradient
  // is already in there.
  void backward(const Parameters& parameters, Parameters& gradients, const PackedBatch& batch,
                const Tensor& gradHidden);

  size_t activationBytes() const { return kept_.bytes() + scratch_.bytes(); }  // held now

 private:
  // One layer's part of kept_; every tensor has N rows.
  struct LayerActivations {
    Tensor inputInverseRms;  // [N]
    Tensor qkv;              // [N, (H + 2K) * E]: rotated; with QK-norm before the norm
    Tensor headInverseRms;   // [N, H + K], empty without QK-norm
    Tensor attention;        // [N, H * E]
    Tensor logSumExp;        // [N, H]
    Tensor middle;           // [N, D]: the residual stream after attention
    Tensor postInverseRms;   // [N]
    Tensor gateUp;           // [N, 2F]
  };
  // Parts of scratch_ that backward needs; the attention half and the feed-forward half of a layer overlap.
  struct Scratch {
    Tensor stream;                           // [N, D]: gradient of the residual stream
    Tensor normed;                           // [N, D]: a norm's output, then the gradient of it
    Tensor feedForward;                      // [N, F]: SwiGLU's output, then the gradient of it
    Tensor gradGateUp;                       // [N, 2F]
    Tensor rotated, gradQkv, gradAttention;  // [N, (H + 2K) * E] twice, [N, H * E]
  };

  void prepare(const PackedBatch& batch, bool keepActivations);
  LayerActivations carveLayer(Carver& carver, int64_t rows, bool inPlace) const;
  void carveKept(Carver& carver, int64_t rows, bool keepActivations);
  void carveScratch(Carver& carver, int64_t rows, bool backward);
  const Tensor& input(int64_t layer) const { return inputs_[inputs_.size() == 1 ? 0 : layer]; }
  const LayerActivations& activations(int64_t layer) const {
    return layers_[layers_.size() == 1 ? 0 : layer];
  }

  void forwardToGateUp(const LayerParameters& parameters, const PackedBatch& batch, int64_t layer);
  void forwardDown(const LayerParameters& parameters, int64_t layer);
  Tensor positionedQkv(const LayerParameters& parameters, const LayerActivations& kept, bool forward);
  void addProjection(const Tensor& out, const Tensor& residual, const Tensor& x, const Tensor& weight);
  void backwardFeedForward(const LayerParameters& parameters, LayerParameters& gradients, int64_t layer);
  void backwardAttention(const LayerParameters& parameters, LayerParameters& gradients,
                         const PackedBatch& batch, int64_t layer);
  void backwardProjection(const Tensor& gradX, const Tensor& gradWeight, const Tensor& gradY, const Tensor& x,
                          const Tensor& weight);

  Backend& backend_;
  ModelConfig config_;
  bool recompute_;
  Buffer kept_, scratch_;
  std::vector<Tensor>
      inputs_;  // inputs_[l] enters layer l, the last leaves the stack; a single one: in place
  std::vector<LayerActivations> layers_;  // one a layer, or a single one shared by all
  Tensor finalInverseRms_, hidden_;       // [N], [N, D]
  Scratch work_;
  std::vector<int32_t> positions_;         // [N]
  std::vector<float> inverseFrequencies_;  // [E / 2]
  int64_t keptTokens_ = 0;                 // tokens of the forward that backward may follow; 0: none
};

}  // namespace hdpo
