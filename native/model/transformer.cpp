#include "model/transformer.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "model/rope.h"

namespace hdpo {

// Hands out consecutive 64-byte aligned float32 tensors of a buffer. Without a buffer it only measures.
class Carver {
 public:
  explicit Carver(float* base) : base_(base) {}
  Tensor take(int64_t rows, int64_t columns) {
    const Tensor view(base_ ? base_ + used_ : nullptr, {rows, columns});
    used_ += (rows * columns + 15) / 16 * 16;
    return view;
  }
  int64_t mark() const { return used_; }
  void rewind(int64_t mark) { used_ = mark; }
  size_t bytes() const { return static_cast<size_t>(used_) * sizeof(float); }

 private:
  float* base_;
  int64_t used_ = 0;
};

namespace {

void checkBatch(const PackedBatch& batch, const ModelConfig& config) {
  require(batch.sequenceCount > 0 && batch.tokenCount > 0, "ERR_BATCH", "a batch needs at least one token");
  require(batch.offsets[0] == 0 && batch.offsets[batch.sequenceCount] == batch.tokenCount, "ERR_BATCH",
          "offsets must begin at 0 and end at the number of tokens, " + std::to_string(batch.tokenCount));
  for (int64_t s = 0; s < batch.sequenceCount; ++s) {
    const int64_t length = int64_t{batch.offsets[s + 1]} - batch.offsets[s];
    require(length >= 1 && length <= config.maxPositions, "ERR_BATCH",
            "sequence " + std::to_string(s) + " has " + std::to_string(length) +
                " tokens; allowed are 1 to " + std::to_string(config.maxPositions) + " (maxPositions)");
  }
  for (int64_t i = 0; i < batch.tokenCount; ++i) {
    require(batch.tokens[i] >= 0 && batch.tokens[i] < config.vocabSize, "ERR_BATCH",
            "token " + std::to_string(i) + " of the batch is " + std::to_string(batch.tokens[i]) +
                ", outside the vocabulary of " + std::to_string(config.vocabSize));
  }
}

}  // namespace

Transformer::Transformer(Backend& backend, const ModelConfig& config, bool recompute)
    : backend_(backend), config_(config), recompute_(recompute) {
  validate(config);
  inverseFrequencies_ = inverseFrequencies(config);
}

Tensor Transformer::forward(const Parameters& parameters, const PackedBatch& batch, bool keepActivations) {
  checkBatch(batch, config_);
  prepare(batch, keepActivations);
  backend_.embedding(input(0), parameters.embedding, batch.tokens);
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    forwardToGateUp(parameters.layers[layer], batch, layer);
    forwardDown(parameters.layers[layer], layer);
  }
  backend_.rmsNorm(hidden_, finalInverseRms_, input(config_.layers), parameters.finalNorm,
                   config_.rmsNormEpsilon);
  keptTokens_ = keepActivations ? batch.tokenCount : 0;
  return hidden_;
}

void Transformer::backward(const Parameters& parameters, Parameters& gradients, const PackedBatch& batch,
                           const Tensor& gradHidden) {
  require(keptTokens_ > 0 && keptTokens_ == batch.tokenCount, "ERR_STATE",
          "backward needs a forward of the same batch with keepActivations just before it");
  require(gradHidden.count() == batch.tokenCount * config_.hiddenSize, "ERR_SHAPE",
          "gradHidden must be [tokens, hiddenSize]");
  keptTokens_ = 0;  // with recompute the shared activations do not survive
  backend_.rmsNormBackward(work_.stream, false, gradients.finalNorm, gradHidden, input(config_.layers),
                           parameters.finalNorm, finalInverseRms_);
  for (int64_t layer = config_.layers - 1; layer >= 0; --layer) {
    // The last layer's activations are still those that forward left behind.
    if (recompute_ && layer != config_.layers - 1) forwardToGateUp(parameters.layers[layer], batch, layer);
    backwardFeedForward(parameters.layers[layer], gradients.layers[layer], layer);
    backwardAttention(parameters.layers[layer], gradients.layers[layer], batch, layer);
  }
  backend_.embeddingBackward(gradients.embedding, work_.stream, batch.tokens);
}

// --- Memory ---

void Transformer::prepare(const PackedBatch& batch, bool keepActivations) {
  const int64_t rows = batch.tokenCount;
  keptTokens_ = 0;
  Carver keptSize(nullptr), scratchSize(nullptr);
  carveKept(keptSize, rows, keepActivations);
  carveScratch(scratchSize, rows, keepActivations);
  kept_.reserve(backend_, keptSize.bytes());
  scratch_.reserve(backend_, scratchSize.bytes());
  Carver kept(kept_.f32()), scratch(scratch_.f32());
  carveKept(kept, rows, keepActivations);
  carveScratch(scratch, rows, keepActivations);

  positions_.resize(static_cast<size_t>(rows));
  for (int64_t s = 0; s < batch.sequenceCount; ++s) {
    for (int32_t i = batch.offsets[s]; i < batch.offsets[s + 1]; ++i) positions_[i] = i - batch.offsets[s];
  }
}

void Transformer::carveKept(Carver& carver, int64_t rows, bool keepActivations) {
  const int64_t inputs = keepActivations ? config_.layers + 1 : 1;
  const int64_t layers = keepActivations && !recompute_ ? config_.layers : 1;
  inputs_.clear();
  layers_.clear();
  for (int64_t i = 0; i < inputs; ++i) inputs_.push_back(carver.take(rows, config_.hiddenSize));
  for (int64_t i = 0; i < layers; ++i) layers_.push_back(carveLayer(carver, rows, !keepActivations));
  finalInverseRms_ = carver.take(rows, 1).reshaped({rows});
  hidden_ = carver.take(rows, config_.hiddenSize);
}

// inPlace: nobody will ask for the layer's input again, so the residual stream is updated where it is.
Transformer::LayerActivations Transformer::carveLayer(Carver& carver, int64_t rows, bool inPlace) const {
  LayerActivations layer;
  layer.inputInverseRms = carver.take(rows, 1).reshaped({rows});
  layer.qkv = carver.take(rows, config_.qkvWidth());
  if (config_.qkNorm) layer.headInverseRms = carver.take(rows, config_.heads + config_.kvHeads);
  layer.attention = carver.take(rows, config_.heads * config_.headDim);
  layer.logSumExp = carver.take(rows, config_.heads);
  layer.middle = inPlace ? inputs_[0] : carver.take(rows, config_.hiddenSize);
  layer.postInverseRms = carver.take(rows, 1).reshaped({rows});
  layer.gateUp = carver.take(rows, 2 * config_.intermediateSize);
  return layer;
}

void Transformer::carveScratch(Carver& carver, int64_t rows, bool backward) {
  const int64_t queries = config_.heads * config_.headDim;
  work_ = Scratch();
  work_.normed = carver.take(rows, config_.hiddenSize);
  if (backward) work_.stream = carver.take(rows, config_.hiddenSize);
  const int64_t shared = carver.mark();
  work_.feedForward = carver.take(rows, config_.intermediateSize);
  if (backward) work_.gradGateUp = carver.take(rows, 2 * config_.intermediateSize);
  const int64_t feedForwardEnd = carver.mark();
  carver.rewind(shared);
  if (config_.qkNorm) work_.rotated = carver.take(rows, config_.qkvWidth());
  if (backward) work_.gradQkv = carver.take(rows, config_.qkvWidth());
  if (backward) work_.gradAttention = carver.take(rows, queries);
  carver.rewind(std::max(feedForwardEnd, carver.mark()));
}

// --- Forward of one layer ---

// Everything of a layer that backward needs.
void Transformer::forwardToGateUp(const LayerParameters& parameters, const PackedBatch& batch,
                                  int64_t layer) {
  const LayerActivations& kept = activations(layer);
  backend_.rmsNorm(work_.normed, kept.inputInverseRms, input(layer), parameters.inputNorm,
                   config_.rmsNormEpsilon);
  backend_.matmul(kept.qkv, work_.normed, false, parameters.qkv, true, 0);
  if (config_.qkvBias) backend_.addBias(kept.qkv, parameters.qkvBias);
  const Tensor qkv = positionedQkv(parameters, kept, true);
  backend_.attention(kept.attention, kept.logSumExp, qkv, batch.offsets, batch.sequenceCount, config_.heads,
                     config_.kvHeads, config_.headDim);
  addProjection(kept.middle, input(layer), kept.attention, parameters.output);
  backend_.rmsNorm(work_.normed, kept.postInverseRms, kept.middle, parameters.postNorm,
                   config_.rmsNormEpsilon);
  backend_.matmul(kept.gateUp, work_.normed, false, parameters.gateUp, true, 0);
}

void Transformer::forwardDown(const LayerParameters& parameters, int64_t layer) {
  const LayerActivations& kept = activations(layer);
  backend_.swiglu(work_.feedForward, kept.gateUp);
  addProjection(input(layer + 1), kept.middle, work_.feedForward, parameters.down);
}

// Queries and keys as attention wants them. Without QK-norm they are rotated once, in place, by the forward;
// with it the raw heads are kept and normalised and rotated into scratch, again in backward.
Tensor Transformer::positionedQkv(const LayerParameters& parameters, const LayerActivations& kept,
                                  bool forward) {
  if (!config_.qkNorm && !forward) return kept.qkv;
  const Tensor& qkv = config_.qkNorm ? work_.rotated : kept.qkv;
  if (config_.qkNorm) {
    backend_.headNorm(qkv, forward ? kept.headInverseRms : Tensor(), kept.qkv, parameters.queryNorm,
                      parameters.keyNorm, config_.heads, config_.kvHeads, config_.headDim,
                      config_.rmsNormEpsilon);
  }
  backend_.rotary(qkv, config_.heads + config_.kvHeads, config_.headDim, positions_.data(),
                  inverseFrequencies_.data(), +1);
  return qkv;
}

// out = residual + x * weight^T; in place the product itself adds.
void Transformer::addProjection(const Tensor& out, const Tensor& residual, const Tensor& x,
                                const Tensor& weight) {
  const bool inPlace = out.data == residual.data;
  backend_.matmul(out, x, false, weight, true, inPlace ? 1 : 0);
  if (!inPlace) backend_.add(out, out, residual);
}

// --- Backward of one layer: work_.stream holds the gradient of the layer's output and in the end that of its
// input ---

void Transformer::backwardFeedForward(const LayerParameters& parameters, LayerParameters& gradients,
                                      int64_t layer) {
  const LayerActivations& kept = activations(layer);
  backend_.swiglu(work_.feedForward, kept.gateUp);
  // The gradient of SwiGLU's output takes the place of the output, which is not needed after the weight's
  // gradient.
  backwardProjection(work_.feedForward, gradients.down, work_.stream, work_.feedForward, parameters.down);
  backend_.swigluBackward(work_.gradGateUp, work_.feedForward, kept.gateUp);
  backend_.rmsNorm(work_.normed, Tensor(), kept.middle, parameters.postNorm, config_.rmsNormEpsilon);
  backwardProjection(work_.normed, gradients.gateUp, work_.gradGateUp, work_.normed, parameters.gateUp);
  backend_.rmsNormBackward(work_.stream, true, gradients.postNorm, work_.normed, kept.middle,
                           parameters.postNorm, kept.postInverseRms);
}

void Transformer::backwardAttention(const LayerParameters& parameters, LayerParameters& gradients,
                                    const PackedBatch& batch, int64_t layer) {
  const LayerActivations& kept = activations(layer);
  const int64_t heads = config_.heads, kvHeads = config_.kvHeads, headDim = config_.headDim;
  backwardProjection(work_.gradAttention, gradients.output, work_.stream, kept.attention, parameters.output);
  backend_.attentionBackward(work_.gradQkv, work_.gradAttention, positionedQkv(parameters, kept, false),
                             kept.attention, kept.logSumExp, batch.offsets, batch.sequenceCount, heads,
                             kvHeads, headDim);
  backend_.rotary(work_.gradQkv, heads + kvHeads, headDim, positions_.data(), inverseFrequencies_.data(), -1);
  if (config_.qkNorm) {
    backend_.headNormBackward(work_.gradQkv, gradients.queryNorm, gradients.keyNorm, kept.qkv,
                              parameters.queryNorm, parameters.keyNorm, kept.headInverseRms, heads, kvHeads,
                              headDim);
  }
  if (config_.qkvBias) backend_.biasBackward(gradients.qkvBias, work_.gradQkv);
  backend_.rmsNorm(work_.normed, Tensor(), input(layer), parameters.inputNorm, config_.rmsNormEpsilon);
  backwardProjection(work_.normed, gradients.qkv, work_.gradQkv, work_.normed, parameters.qkv);
  backend_.rmsNormBackward(work_.stream, true, gradients.inputNorm, work_.normed, input(layer),
                           parameters.inputNorm, kept.inputInverseRms);
}

// Of y = x * weight^T: gradWeight += gradY^T * x, then gradX = gradY * weight. gradX may be x.
void Transformer::backwardProjection(const Tensor& gradX, const Tensor& gradWeight, const Tensor& gradY,
                                     const Tensor& x, const Tensor& weight) {
  backend_.matmul(gradWeight, gradY, true, x, false, 1);
  backend_.matmul(gradX, gradY, false, weight, false, 0);
}

}  // namespace hdpo
