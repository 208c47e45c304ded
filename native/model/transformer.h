// Forward and hand-written backward of the packed transformer. It is written once, against ops, and knows no
// device.
//
// Types. The residual stream and its gradient are float32, because every layer adds to them. Everything else
// that is as wide as a layer has type A, which the backend names for weights of this type
// (Backend::activationType).
//
// A forward with keepActivations holds these values per token:
//   each layer       2 D                      float32   its input, and the stream after attention
//                    (H + 2K) E               A         qkv
//                    H E                      A         attention
//                    2 F                      A         gate and up
//                    H + 2 [+ H + K]          float32   log-sum-exp, inverse RMS [with QK-norm]
//   the last layer   D + 1                    float32   its output, and that one's inverse RMS
//                    D                        A         the final norm
// Normalised inputs, rotated QK-norm heads and the SwiGLU product are recomputed in backward: that is cheap
// next to the matrix products, and keeping them would nearly double the above. With `recompute` a layer keeps
// only its input (D), and the layers share one set of activations.
//
// Scratch comes on top, shared by all layers, again in values per token:
//   always           D                        A
//                    F                        A         forward [with QK-norm max(F, (H + 2K) E)]
//                    max(3 F, (H + 2K) E [twice with QK-norm] + H E)
//                                             A         backward
//   backward         D                        float32   gradient of the stream
//   adapter          see AdapterScratch; low-rank inputs x A^T are recomputed too
// Several products with bfloat16 weights may take the same operand. If it has another type, it is rounded
// once, to values of two bytes:
//   backward         max(2 F, (H + 2K) E)     where A is float32: the gradient of a projection's output
//                    D                        otherwise: the gradient of the stream
//   adapter          max(D, H E, F)           where A is float32: a projection's input
#pragma once

#include <cstdint>
#include <vector>

#include "model/adapter_products.h"
#include "model/parameters.h"

namespace hdpo {

// Sequences laid end to end. All arrays are in host memory and must stay there for the call.
struct PackedBatch {
  int64_t tokenCount = 0, sequenceCount = 0;
  const int32_t* tokens = nullptr;   // [N]
  const int32_t* offsets = nullptr;  // [S + 1]; positions restart at 0 in each sequence
};

// What a forward computes with: weights, and an adapter that is added to their projections (or none).
struct Model {
  Model(const Parameters& parameters) : weights(parameters) {}  // NOLINT: a model without an adapter
  Model(const Parameters& parameters, const Adapter* added, AdapterDropout mask = {})
      : weights(parameters), adapter(added), dropout(mask) {}

  const Parameters& weights;
  const Adapter* adapter = nullptr;
  AdapterDropout dropout;
};

// The gradients that backward adds to, in the layout of the model. Without `weights` the weights are frozen:
// no product is computed for them, and backward ends at the lowest adapter.
struct ModelGradients {
  ModelGradients(Parameters& parameters) : weights(&parameters) {}  // NOLINT: a model without an adapter
  ModelGradients(Parameters* parameters, Adapter* added) : weights(parameters), adapter(added) {}

  Parameters* weights = nullptr;
  Adapter* adapter = nullptr;  // set exactly where the model has one
};

class Carver;

class Transformer {
 public:
  // recompute: keep only each layer's input and run the layer again in backward, which takes less memory and
  // about a third more time.
  Transformer(Backend& backend, const ModelConfig& config, bool recompute);

  // Returns hidden states after the final norm [N, D] A, valid until the next forward. keepActivations:
  // backward will follow. Throws ERR_BATCH for tokens outside the vocabulary and for empty or too long
  // sequences.
  Tensor forward(const Model& model, const PackedBatch& batch, bool keepActivations);
  // Must follow a forward of the same model and batch with keepActivations. gradHidden [N, D] A is the
  // gradient of what forward returned. Adds to `gradients`; with tied embeddings the head's gradient is
  // already in there.
  void backward(const Model& model, const ModelGradients& gradients, const PackedBatch& batch,
                const Tensor& gradHidden);

  size_t activationBytes() const { return kept_.bytes() + scratch_.bytes(); }  // held now
  // Bytes that a forward and backward of `tokens` tokens will hold; adapter may be null. `precision` is that
  // of the weights.
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
  // Parts of scratch_ that backward needs. The attention half and the feed-forward half of a layer overlap.
  struct Scratch {
    Tensor stream;                           // [N, D]: gradient of the residual stream
    Tensor normed;                           // [N, D]: a norm's output, then the gradient of it
    Tensor feedForward;                      // [N, F]: SwiGLU's output, then the gradient of it
    Tensor gradGateUp;                       // [N, 2F]
    Tensor rotated, gradQkv, gradAttention;  // [N, (H + 2K) * E] twice, [N, H * E]
    // In bfloat16, for one projection at a time and where it has another type: its input [N, max(D, H * E,
    // F)] and the gradient of its output [N, max(2F, (H + 2K) * E)].
    Tensor roundedInput, roundedGradient;
    AdapterScratch adapter;
  };
  // One backward's constants.
  struct BackwardPass {
    const Model& model;
    const ModelGradients& gradients;
    const PackedBatch& batch;
  };
  // The model and precision of the weights for which memory is laid out.
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
  // Each returns whether the gradient of its input was needed, in which case it has computed it.
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
      inputs_;  // inputs_[l] enters layer l, the last leaves the stack; a single one is updated in place
  std::vector<LayerActivations> layers_;  // one per layer, or a single one shared by all
  Tensor finalInverseRms_, hidden_;       // [N], [N, D]
  Scratch work_;
  std::vector<int32_t> positions_;         // [N]
  std::vector<float> inverseFrequencies_;  // [E / 2]
  int64_t keptTokens_ = 0;                 // tokens of the forward that backward may follow; 0: none
};

}  // namespace hdpo
