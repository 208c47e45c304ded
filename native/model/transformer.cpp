#include "model/transformer.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "model/rope.h"

namespace hdpo {

// Hands out consecutive, 64-byte aligned tensors of a buffer. Without a buffer it only measures.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  Tensor take(int64_t rows, int64_t columns, DType type = DType::Float32) {
    const Tensor view(base_ ? base_ + used_ : nullptr, type, {rows, columns});
    used_ += (view.bytes() + 63) / 64 * 64;
    return view;
  }
  size_t mark() const { return used_; }
  void rewind(size_t mark) { used_ = mark; }
  size_t bytes() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
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

Tensor Transformer::forward(const Model& model, const PackedBatch& batch, bool keepActivations) {
  checkBatch(batch, config_);
  prepare(model, batch, keepActivations);
  backend_.embedding(input(0), model.weights.embedding, batch.tokens);
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    forwardToGateUp(model, batch, layer);
    forwardDown(model, layer);
  }
  backend_.rmsNorm(hidden_, finalInverseRms_, input(config_.layers), model.weights.finalNorm,
                   config_.rmsNormEpsilon);
  keptTokens_ = keepActivations ? batch.tokenCount : 0;
  return hidden_;
}

void Transformer::backward(const Model& model, const ModelGradients& gradients, const PackedBatch& batch,
                           const Tensor& gradHidden) {
  require(keptTokens_ > 0 && keptTokens_ == batch.tokenCount, "ERR_STATE",
          "backward needs a forward of the same batch with keepActivations just before it");
  require(gradHidden.count() == batch.tokenCount * config_.hiddenSize, "ERR_SHAPE",
          "gradHidden must be [tokens, hiddenSize]");
  require((model.adapter == nullptr) == (gradients.adapter == nullptr) &&
              (gradients.weights || gradients.adapter),
          "ERR_STATE", "backward needs gradients of the adapter exactly where the model has one");
  keptTokens_ = 0;  // with recompute the shared activations do not survive
  backend_.rmsNormBackward(work_.stream, false, gradients.weights ? gradients.weights->finalNorm : Tensor(),
                           gradHidden, input(config_.layers), model.weights.finalNorm, finalInverseRms_);
  const BackwardPass pass{model, gradients, batch};
  for (int64_t layer = config_.layers - 1; layer >= 0; --layer) {
    // The last layer's activations are still there from forward.
    if (recompute_ && layer != config_.layers - 1) forwardToGateUp(model, batch, layer);
    if (!backwardFeedForward(pass, layer) || !backwardAttention(pass, layer)) return;
  }
  if (gradients.weights) backend_.embeddingBackward(gradients.weights->embedding, work_.stream, batch.tokens);
}

// --- Memory ---

void Transformer::prepare(const Model& model, const PackedBatch& batch, bool keepActivations) {
  const int64_t rows = batch.tokenCount;
  keptTokens_ = 0;
  const Layout layout{model.adapter ? &model.adapter->options() : nullptr, model.weights.embedding.dtype,
                      keepActivations};
  activations_ = backend_.activationType(layout.precision);
  Carver keptSize(nullptr), scratchSize(nullptr);
  carveKept(keptSize, rows, keepActivations);
  carveScratch(scratchSize, rows, layout);
  kept_.reserve(backend_, keptSize.bytes());
  scratch_.reserve(backend_, scratchSize.bytes());
  Carver kept(kept_.data()), scratch(scratch_.data());
  carveKept(kept, rows, keepActivations);
  carveScratch(scratch, rows, layout);

  positions_.resize(static_cast<size_t>(rows));
  for (int64_t s = 0; s < batch.sequenceCount; ++s) {
    for (int32_t i = batch.offsets[s]; i < batch.offsets[s + 1]; ++i) positions_[i] = i - batch.offsets[s];
  }
}

size_t Transformer::trainingBytes(Backend& backend, const ModelConfig& config, bool recompute,
                                  const AdapterOptions* adapter, DType precision, int64_t tokens) {
  Transformer measured(backend, config, recompute);
  measured.activations_ = backend.activationType(precision);
  Carver carver(nullptr);
  measured.carveKept(carver, tokens, true);
  measured.carveScratch(carver, tokens, {adapter, precision, true});
  return carver.bytes();
}

void Transformer::carveKept(Carver& carver, int64_t rows, bool keepActivations) {
  const int64_t inputs = keepActivations ? config_.layers + 1 : 1;
  const int64_t layers = keepActivations && !recompute_ ? config_.layers : 1;
  inputs_.clear();
  layers_.clear();
  for (int64_t i = 0; i < inputs; ++i) inputs_.push_back(carver.take(rows, config_.hiddenSize));
  for (int64_t i = 0; i < layers; ++i) layers_.push_back(carveLayer(carver, rows, !keepActivations));
  finalInverseRms_ = carver.take(rows, 1).reshaped({rows});
  hidden_ = carver.take(rows, config_.hiddenSize, activations_);
}

// inPlace: nobody will ask for the layer's input again, so the residual stream is updated in place.
Transformer::LayerActivations Transformer::carveLayer(Carver& carver, int64_t rows, bool inPlace) const {
  LayerActivations layer;
  layer.inputInverseRms = carver.take(rows, 1).reshaped({rows});
  layer.qkv = carver.take(rows, config_.qkvWidth(), activations_);
  if (config_.qkNorm) layer.headInverseRms = carver.take(rows, config_.heads + config_.kvHeads);
  layer.attention = carver.take(rows, config_.heads * config_.headDim, activations_);
  layer.logSumExp = carver.take(rows, config_.heads);
  layer.middle = inPlace ? inputs_[0] : carver.take(rows, config_.hiddenSize);
  layer.postInverseRms = carver.take(rows, 1).reshaped({rows});
  layer.gateUp = carver.take(rows, 2 * config_.intermediateSize, activations_);
  return layer;
}

void Transformer::carveScratch(Carver& carver, int64_t rows, const Layout& layout) {
  const int64_t queries = config_.heads * config_.headDim;
  const bool backward = layout.backward;
  work_ = Scratch();
  const auto take = [&](int64_t columns) { return carver.take(rows, columns, activations_); };
  work_.normed = take(config_.hiddenSize);
  if (backward) work_.stream = carver.take(rows, config_.hiddenSize);
  const size_t shared = carver.mark();
  work_.feedForward = take(config_.intermediateSize);
  if (backward) work_.gradGateUp = take(2 * config_.intermediateSize);
  const size_t feedForwardEnd = carver.mark();
  carver.rewind(shared);
  if (config_.qkNorm) work_.rotated = take(config_.qkvWidth());
  if (backward) work_.gradQkv = take(config_.qkvWidth());
  if (backward) work_.gradAttention = take(queries);
  carver.rewind(std::max(feedForwardEnd, carver.mark()));
  if (layout.precision == DType::BFloat16) carveRounded(carver, rows, layout);
  if (layout.adapter) carveAdapterScratch(carver, rows, layout);
}

void Transformer::carveRounded(Carver& carver, int64_t rows, const Layout& layout) {
  const int64_t queries = config_.heads * config_.headDim;
  const bool rounded = activations_ == DType::BFloat16;  // applies to all but the stream
  const auto take = [&](int64_t columns) { return carver.take(rows, columns, DType::BFloat16); };
  if (layout.backward) {
    work_.roundedGradient =
        take(rounded ? config_.hiddenSize : std::max(2 * config_.intermediateSize, config_.qkvWidth()));
  }
  if (layout.adapter && !rounded) {
    work_.roundedInput = take(std::max({config_.hiddenSize, queries, config_.intermediateSize}));
  }
}

void Transformer::carveAdapterScratch(Carver& carver, int64_t rows, const Layout& layout) {
  const AdapterOptions& options = *layout.adapter;
  const bool backward = layout.backward;
  const AdapterScratchSizes sizes = adapterScratchSizes(config_, options);
  work_.adapter.reduced = carver.take(rows, sizes.width, activations_);
  if (layout.precision != activations_) {
    work_.adapter.roundedReduced = carver.take(rows, sizes.width, DType::BFloat16);
  }
  work_.adapter.spread = carver.take(1, sizes.spread);
  if (options.dropout > 0) work_.adapter.dropped = carver.take(rows, sizes.inputs, activations_);
  if (backward) work_.adapter.gradReduced = carver.take(rows, sizes.width, activations_);
  if (backward) work_.adapter.gradSpread = carver.take(1, sizes.spread);
}

// --- Forward of one layer ---

// Computes everything of a layer that backward needs.
void Transformer::forwardToGateUp(const Model& model, const PackedBatch& batch, int64_t layer) {
  const LayerActivations& kept = activations(layer);
  const LayerParameters& parameters = model.weights.layers[layer];
  backend_.rmsNorm(work_.normed, kept.inputInverseRms, input(layer), parameters.inputNorm,
                   config_.rmsNormEpsilon);
  const AdapterInput toQkv = inputOf(model, layer, Projection::Qkv, work_.normed);
  backend_.matmul(kept.qkv, toQkv.operand(), false, parameters.qkv, true, 0);
  addAdapter(model, layer, Projection::Qkv, kept.qkv, toQkv);
  if (config_.qkvBias) backend_.addBias(kept.qkv, parameters.qkvBias);
  const Tensor qkv = positionedQkv(parameters, kept, true);
  backend_.attention(kept.attention, kept.logSumExp, qkv, batch.offsets, batch.sequenceCount,
                     config_.attentionShape());
  const AdapterInput toOutput = inputOf(model, layer, Projection::Output, kept.attention);
  addProjection(kept.middle, input(layer), toOutput.operand(), parameters.output);
  addAdapter(model, layer, Projection::Output, kept.middle, toOutput);
  backend_.rmsNorm(work_.normed, kept.postInverseRms, kept.middle, parameters.postNorm,
                   config_.rmsNormEpsilon);
  const AdapterInput toGateUp = inputOf(model, layer, Projection::GateUp, work_.normed);
  backend_.matmul(kept.gateUp, toGateUp.operand(), false, parameters.gateUp, true, 0);
  addAdapter(model, layer, Projection::GateUp, kept.gateUp, toGateUp);
}

void Transformer::forwardDown(const Model& model, int64_t layer) {
  const LayerActivations& kept = activations(layer);
  backend_.swiglu(work_.feedForward, kept.gateUp);
  const AdapterInput toDown = inputOf(model, layer, Projection::Down, work_.feedForward);
  addProjection(input(layer + 1), kept.middle, toDown.operand(), model.weights.layers[layer].down);
  addAdapter(model, layer, Projection::Down, input(layer + 1), toDown);
}

// Returns queries and keys as attention wants them. Without QK-norm, forward rotates them once, in place.
// With QK-norm, the raw heads are kept, and are normalised and rotated into scratch, once more in backward.
Tensor Transformer::positionedQkv(const LayerParameters& parameters, const LayerActivations& kept,
                                  bool forward) {
  if (!config_.qkNorm && !forward) return kept.qkv;
  const Tensor& qkv = config_.qkNorm ? work_.rotated : kept.qkv;
  if (config_.qkNorm) {
    backend_.headNorm(qkv, forward ? kept.headInverseRms : Tensor(), kept.qkv, parameters.queryNorm,
                      parameters.keyNorm, config_.attentionShape(), config_.rmsNormEpsilon);
  }
  backend_.rotary(qkv, config_.attentionShape(), positions_.data(), inverseFrequencies_.data(), +1);
  return qkv;
}

// The input of a projection. It is rounded, if it is not yet, where an adapter and bfloat16 weights both take
// it.
AdapterInput Transformer::inputOf(const Model& model, int64_t layer, Projection projection,
                                  const Tensor& x) const {
  if (!work_.roundedInput || !model.adapter->group(layer, projection)) return {x, {}};
  const Tensor rounded(work_.roundedInput.data, DType::BFloat16, {x.shape[0], x.shape[1]});
  backend_.convert(rounded, x);
  return {x, rounded};
}

// Adds the adapter's update of x to y, where there is an adapter.
void Transformer::addAdapter(const Model& model, int64_t layer, Projection projection, const Tensor& y,
                             const AdapterInput& x) {
  if (!model.adapter) return;
  const AdapterGroup& group = model.adapter->group(layer, projection);
  if (!group) return;
  AdapterProducts(backend_, model.adapter->options(), work_.adapter)
      .forward(y, x, group, model.dropout.mask(layer, projection));
}

// out = residual + x * weight^T. Where this is in place, the product itself adds.
void Transformer::addProjection(const Tensor& out, const Tensor& residual, const Tensor& x,
                                const Tensor& weight) {
  const bool inPlace = out.data == residual.data;
  backend_.matmul(out, x, false, weight, true, inPlace ? 1 : 0);
  if (!inPlace) backend_.add(out, out, residual);
}

// --- Backward of one layer ---
//
// work_.stream holds the gradient of the layer's output, and in the end that of its input.

namespace {

const LayerParameters kFrozen;  // empty gradients: nothing is computed for the weights

const LayerParameters& gradientsOf(const ModelGradients& gradients, int64_t layer) {
  return gradients.weights ? gradients.weights->layers[static_cast<size_t>(layer)] : kFrozen;
}

}  // namespace

bool Transformer::backwardFeedForward(const BackwardPass& pass, int64_t layer) {
  const LayerActivations& kept = activations(layer);
  const LayerParameters& parameters = pass.model.weights.layers[layer];
  const LayerParameters& gradients = gradientsOf(pass.gradients, layer);
  backend_.swiglu(work_.feedForward, kept.gateUp);
  // The gradient of SwiGLU's output takes the place of the output itself, which is not needed after the
  // weight's gradient.
  if (!backwardProjection(
          pass, layer, Projection::Down,
          {work_.feedForward, gradients.down, work_.stream, work_.feedForward, parameters.down}))
    return false;
  backend_.swigluBackward(work_.gradGateUp, work_.feedForward, kept.gateUp);
  backend_.rmsNorm(work_.normed, Tensor(), kept.middle, parameters.postNorm, config_.rmsNormEpsilon);
  if (!backwardProjection(
          pass, layer, Projection::GateUp,
          {work_.normed, gradients.gateUp, work_.gradGateUp, work_.normed, parameters.gateUp}))
    return false;
  backend_.rmsNormBackward(work_.stream, true, gradients.postNorm, work_.normed, kept.middle,
                           parameters.postNorm, kept.postInverseRms);
  return true;
}

bool Transformer::backwardAttention(const BackwardPass& pass, int64_t layer) {
  const LayerActivations& kept = activations(layer);
  const LayerParameters& parameters = pass.model.weights.layers[layer];
  const LayerParameters& gradients = gradientsOf(pass.gradients, layer);
  const AttentionShape shape = config_.attentionShape();
  if (!backwardProjection(
          pass, layer, Projection::Output,
          {work_.gradAttention, gradients.output, work_.stream, kept.attention, parameters.output}))
    return false;
  backend_.attentionBackward(work_.gradQkv, work_.gradAttention, positionedQkv(parameters, kept, false),
                             kept.attention, kept.logSumExp, pass.batch.offsets, pass.batch.sequenceCount,
                             shape);
  backend_.rotary(work_.gradQkv, shape, positions_.data(), inverseFrequencies_.data(), -1);
  if (config_.qkNorm) {
    backend_.headNormBackward(work_.gradQkv, gradients.queryNorm, gradients.keyNorm, kept.qkv,
                              parameters.queryNorm, parameters.keyNorm, kept.headInverseRms, shape);
  }
  if (gradients.qkvBias) backend_.biasBackward(gradients.qkvBias, work_.gradQkv);
  backend_.rmsNorm(work_.normed, Tensor(), input(layer), parameters.inputNorm, config_.rmsNormEpsilon);
  if (!backwardProjection(pass, layer, Projection::Qkv,
                          {work_.normed, gradients.qkv, work_.gradQkv, work_.normed, parameters.qkv}))
    return false;
  backend_.rmsNormBackward(work_.stream, true, gradients.inputNorm, work_.normed, input(layer),
                           parameters.inputNorm, kept.inputInverseRms);
  return true;
}

// gradWeight += gradY^T * x, then the adapter's gradients, then gradX = gradY * weight + the adapter's part.
// With a bfloat16 weight all of these are products of bfloat16 operands, twice as fast. gradY is rounded
// once.
bool Transformer::backwardProjection(const BackwardPass& pass, int64_t layer, Projection projection,
                                     const ProjectionBackward& product) {
  const Adapter* adapter = pass.model.adapter;
  const bool adapted = adapter && adapter->group(layer, projection);
  Tensor gradY = product.gradY;
  if (product.weight.dtype == DType::BFloat16 && gradY.dtype != DType::BFloat16) {
    gradY = Tensor(work_.roundedGradient.data, DType::BFloat16, {gradY.shape[0], gradY.shape[1]});
    backend_.convert(gradY, product.gradY);
  }
  if (product.gradWeight) backend_.matmul(product.gradWeight, gradY, true, product.x, false, 1);
  const DropoutMask mask = adapted ? pass.model.dropout.mask(layer, projection) : DropoutMask();
  if (adapted) {
    AdapterProducts(backend_, adapter->options(), work_.adapter)
        .backward(pass.gradients.adapter->group(layer, projection), gradY,
                  inputOf(pass.model, layer, projection, product.x), adapter->group(layer, projection), mask);
  }
  if (!pass.gradients.weights && layer == 0 && projection == adapter->lowest()) return false;
  backend_.matmul(product.gradX, gradY, false, product.weight, false, 0);
  if (adapted) {
    AdapterProducts(backend_, adapter->options(), work_.adapter)
        .addInputGradient(product.gradX, adapter->group(layer, projection), mask);
  }
  return true;
}

}  // namespace hdpo
