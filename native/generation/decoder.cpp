#include "generation/decoder.h"

#include <algorithm>

#include "model/adapter_products.h"
#include "model/rope.h"

namespace hdpo {

namespace {

// The activation type A. int8 weights are multiplied in their own way, but their inputs and outputs have the
// type that they have beside bfloat16 weights.
DType activationType(const Backend& backend, PackedFormat format) {
  return backend.activationType(format == PackedFormat::Float32 ? DType::Float32 : DType::BFloat16);
}

Tensor in(Buffer& workspace, Backend& backend, int64_t rows, int64_t columns, DType type = DType::Float32) {
  return workspace.holding(backend, Tensor(nullptr, type, {rows, columns}));
}

}  // namespace

Decoder::Decoder(Backend& backend, const Parameters& parameters, const Adapter* adapter, PackedFormat format)
    : backend_(backend),
      parameters_(parameters),
      config_(parameters.config()),
      inverseFrequencies_(inverseFrequencies(config_)),
      weights_(backend, parameters, adapter, format),
      activations_(activationType(backend, format)) {}

DType Decoder::cachePrecision(const Backend& backend, PackedFormat format, DType wanted) {
  return activationType(backend, format) == DType::BFloat16 ? DType::BFloat16 : wanted;
}

size_t Decoder::workspaceBytes(const Backend& backend, const ModelConfig& config,
                               const AdapterOptions* adapter, PackedFormat format, int64_t rows,
                               int64_t sampled) {
  const auto element = static_cast<int64_t>(sizeOf(activationType(backend, format)));
  const int64_t width = config.hiddenSize;
  int64_t activations =
      width + config.qkvWidth() + config.heads * config.headDim + 3 * config.intermediateSize;
  if (adapter && format != PackedFormat::Float32) {  // x A^T, and an update of the widest projection
    activations += adapterScratchSizes(config, *adapter).width +
                   std::max(2 * config.intermediateSize, config.qkvWidth());
  }
  const int64_t streamBytes = 2 * width * 4, sampledBytes = width * (4 + element) + config.vocabSize * 4;
  return static_cast<size_t>(rows * (streamBytes + activations * element) + sampled * sampledBytes);
}

// The given rows and those that the backend adds.
DecoderRows Decoder::padded(const DecoderRows& rows) {
  const int64_t count = backend_.decodingRows(rows.cached, rows.count);
  if (count == rows.count) return rows;
  const auto extend = [&](auto& extended, const auto* given) {
    extended.assign(given, given + rows.count);
    extended.resize(static_cast<size_t>(count));
    return extended.data();
  };
  return {count, extend(tokens_, rows.tokens), extend(positions_, rows.positions),
          extend(cached_, rows.cached)};
}

void Decoder::forward(const DecoderRows& given, const KvCache& cache) {
  weights_.refresh();
  const DecoderRows rows = padded(given);
  const int64_t width = config_.hiddenSize;
  work_.stream = in(stream_, backend_, rows.count, width);
  work_.projected = in(projected_, backend_, rows.count, width);
  work_.normed = in(normed_, backend_, rows.count, width, activations_);
  work_.qkv = in(qkv_, backend_, rows.count, config_.qkvWidth(), activations_);
  work_.attention = in(attention_, backend_, rows.count, config_.heads * config_.headDim, activations_);
  work_.gateUp = in(gateUp_, backend_, rows.count, 2 * config_.intermediateSize, activations_);
  work_.feedForward = in(feedForward_, backend_, rows.count, config_.intermediateSize, activations_);
  const DecodingStep step{.decoder = this,
                          .cache = &cache,
                          .variant = weights_.merged(),
                          .rows = rows.count,
                          .tokens = rows.tokens,
                          .positions = rows.positions,
                          .cached = rows.cached,
                          .inverseFrequencies = inverseFrequencies_.data(),
                          .frequencies = static_cast<int64_t>(inverseFrequencies_.size())};
  backend_.decodingStep(step, [&] { layers(rows, cache); });
}

void Decoder::layers(const DecoderRows& rows, const KvCache& cache) {
  backend_.embedding(work_.stream, parameters_.embedding, rows.tokens);
  const std::vector<LayerParameters>& layers = parameters_.layers;
  backend_.rmsNorm(work_.normed, Tensor(), work_.stream, layers[0].inputNorm, config_.rmsNormEpsilon);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    attentionHalf(rows, cache, static_cast<int64_t>(layer));
    addThenNorm(layers[layer].postNorm);
    feedForwardHalf(static_cast<int64_t>(layer));
    if (layer + 1 < layers.size()) addThenNorm(layers[layer + 1].inputNorm);
  }
  backend_.add(work_.stream, work_.stream, work_.projected);
}

void Decoder::addThenNorm(const Tensor& weight) {
  backend_.addThenRmsNorm(work_.normed, work_.stream, work_.projected, weight, config_.rmsNormEpsilon);
}

void Decoder::attentionHalf(const DecoderRows& rows, const KvCache& cache, int64_t layer) {
  const AttentionShape shape = config_.attentionShape();
  const LayerParameters& parameters = parameters_.layers[static_cast<size_t>(layer)];
  const Tensor& qkv = work_.qkv;
  weights_.project(qkv, work_.normed, layer, Projection::Qkv);
  const HeadPreparation preparation{.bias = parameters.qkvBias,
                                    .queryNorm = parameters.queryNorm,
                                    .keyNorm = parameters.keyNorm,
                                    .epsilon = config_.rmsNormEpsilon,
                                    .positions = rows.positions,
                                    .inverseFrequencies = inverseFrequencies_.data()};
  backend_.cacheHeads(cache.layer(layer), qkv, preparation, rows.cached, shape);
  backend_.cachedAttention(work_.attention, cache.layer(layer), qkv, rows.cached, shape);
  weights_.project(work_.projected, work_.attention, layer, Projection::Output);
}

void Decoder::feedForwardHalf(int64_t layer) {
  weights_.project(work_.gateUp, work_.normed, layer, Projection::GateUp);
  backend_.swiglu(work_.feedForward, work_.gateUp);
  weights_.project(work_.projected, work_.feedForward, layer, Projection::Down);
}

Tensor Decoder::logits(const int32_t* index, int64_t count) {
  const Tensor sampled = in(sampled_, backend_, count, config_.hiddenSize),
               normed = in(sampledNormed_, backend_, count, config_.hiddenSize, activations_),
               logits = in(logits_, backend_, count, config_.vocabSize);
  backend_.gatherRows(sampled, work_.stream, index);
  backend_.rmsNorm(normed, Tensor(), sampled, parameters_.finalNorm, config_.rmsNormEpsilon);
  weights_.logits(logits, normed);
  return logits;
}

}  // namespace hdpo
