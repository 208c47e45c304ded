// Forward and hand-written backward of the packed transformer. Written once against ops; knows no device.
//
// Types. The residual stream and its gradient are float32: every layer adds to them. All else that is as wide
// as a layer has the type A that the backend names beside weights of this type (Backend::activationType).
//
// What a forward with keepActivations holds, in values a token:
//   each layer  2 D (its input, the stream after attention), float32
//               (H + 2K) E (qkv) + H E (attention) + 2 F (gate and up), A
//               H (log-sum-exp) + 2 (inverse RMS) [+ H + K with QK-norm], float32
//   and D + 1 float32 for the last layer's output and its inverse RMS, D of A for the final norm.
// Normalised inputs, rotated QK-norm heads and the SwiGLU product are recomputed in backward: cheap next to
// the matrix products, and they would nearly double the above. With `recompute` a layer keeps only its input
// (D); one layer's activations are shared. Scratch on top, shared by all layers: D of A, in backward also the
// stream's gradient, D float32, plus, of A,
//   max(F in forward, 3 F in backward; (H + 2K) E [twice with QK-norm] + H E in backward)
// and with an adapter what AdapterScratch says. Low-rank inputs x A^T are recomputed too. What several
// products with bfloat16 weights take and has not that type is rounded once: trained, the gradient of a
// projection's output (A float32: max(2 F, (H + 2K) E) values of two bytes; otherwise that of the stream, D);
// with an adapter and A float32, also a projection's input, max(D, H E, F).
#pragma once

#include <cstdint>
#include <vector>

#include "model/adapter_products.h"
#include "model/parameters.h"

namespace hdpo {

// Sequences laid end to end. All arrays in host memory, alive for the call.
struct PackedBatch {
  int64_t tokenCount = 0, sequenceCount = 0;
  const int32_t* tokens = nullptr;   // [N]
  const int32_t* offsets = nullptr;  // [S + 1]; positions restart at 0 in each sequence
};

// What a forward computes with: weights, and an adapter (or none) that is added to their projections.
struct Model {
  Model(const Parameters& parameters) : weights(parameters) {}  // NOLINT: a model without an adapter
  Model(const Parameters& parameters, const Adapter* added, AdapterDropout mask = {})
      : weights(parameters), adapter(added), dropout(mask) {}

  const Parameters& weights;
  const Adapter* adapter = nullptr;
  AdapterDropout dropout;
};

// What a backward adds to, in the layout of what it is the gradient of. Without `weights` they are frozen: no
// product is computed for them, and backward ends at the lowest adapter.
struct ModelGradients {
  ModelGradients(Parameters& parameters) : weights(&parameters) {}  // NOLINT: of a model without an adapter
  ModelGradients(Parameters* parameters, Adapter* added) : weights(parameters), adapter(added) {}

  Parameters* weights = nullptr;
  Adapter* adapter = nullptr;  // given exactly where the model has one
};

class Carver;

class Transformer {
 public:
  // recompute: keep only each layer's input and run the layer again in backward (less memory, about 1/3 more
  // time).
  Transformer(Backend& backend, const ModelConfig& config, bool recompute);

  // Returns hidden states after the final norm [N, D] A, valid until the next forward. keepActivations:
  // backward will follow. Tokens outside the vocabulary, empty or too long sequences: ERR_BATCH.
  Tensor forward(const Model& model, const PackedBatch& batch, bool keepActivations);
  // After a forward of the same model and batch with keepActivations. gradHidden [N, D] A is the gradient of
  // what forward returned. Adds to `gradients`; with tied embeddings the head's gradient is already in there.
  void backward(const Model& model, const ModelGradients& gradients, const PackedBatch& batch,
                const Tensor& gradHidden);

  size_t activationBytes() const { return kept_.bytes() + scratch_.bytes(); }  // held now
  // What a forward and backward of `tokens` tokens will hold; adapter may be null. `precision` is that of the
  // weights.
  static size_t trainingBytes(Backend& backend, const ModelConfig& config, bool recompute,
                              const AdapterOptions* adapter, DType precision, int64_t tokens);

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
    // In bfloat16, of one projection at a time, where it is not that already: its input [N, max(D, H * E,
    // F)], the gradient of its output [N, max(2F, (H + 2K) * E)].
    Tensor roundedInput, roundedGradient;
    AdapterScratch adapter;
  };
  // One backward's constants.
  struct BackwardPass {
    const Model& model;
    const ModelGradients& gradients;
    const PackedBatch& batch;
  };
  // Model and precision of the weights that memory is laid out for.
  struct Layout {
    const AdapterOptions* adapter;
    DType precision;
    bool backward;
  };
  // y = x * weight^T and its gradients. gradX may be x; gradWeight is empty where the weight is frozen.
  struct ProjectionBackward {
    Tensor gradX, gradWeight, gradY, x, weight;
  };

  void prepare(const Model& model, const PackedBatch& batch, bool keepActivations);
  LayerActivations carveLayer(Carver& carver, int64_t rows, bool inPlace) const;
  void carveKept(Carver& carver, int64_t rows, bool keepActivations);
  void carveScratch(Carver& carver, int64_t rows, const Layout& layout);
  void carveAdapterScratch(Carver& carver, int64_t rows, const Layout& layout);
  void carveRounded(Carver& carver, int64_t rows, const Layout& layout);
  const Tensor& input(int64_t layer) const { return inputs_[inputs_.size() == 1 ? 0 : layer]; }
  const LayerActivations& activations(int64_t layer) const {
    return layers_[layers_.size() == 1 ? 0 : layer];
  }

  void forwardToGateUp(const Model& model, const PackedBatch& batch, int64_t layer);
  void forwardDown(const Model& model, int64_t layer);
  Tensor positionedQkv(const LayerParameters& parameters, const LayerActivations& kept, bool forward);
  AdapterInput inputOf(const Model& model, int64_t layer, Projection projection, const Tensor& x) const;
  void addAdapter(const Model& model, int64_t layer, Projection projection, const Tensor& y,
                  const AdapterInput& x);
  void addProjection(const Tensor& out, const Tensor& residual, const Tensor& x, const Tensor& weight);
  // Each returns whether the gradient of its input was needed, and computed.
  bool backwardFeedForward(const BackwardPass& pass, int64_t layer);
  bool backwardAttention(const BackwardPass& pass, int64_t layer);
  bool backwardProjection(const BackwardPass& pass, int64_t layer, Projection projection,
                          const ProjectionBackward& product);

  Backend& backend_;
  ModelConfig config_;
  bool recompute_;
  DType activations_ = DType::Float32;  // A of the present layout
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
