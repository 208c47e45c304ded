#include "generation/decoder.h"

#include "model/rope.h"

namespace hdpo {

Decoder::Decoder(Backend& backend, const Parameters& parameters, const Adapter* adapter, PackedFormat format)
    : backend_(backend),
      parameters_(parameters),
      config_(parameters.config()),
      inverseFrequencies_(inverseFrequencies(config_)),
      weights_(backend, parameters, adapter, format) {}

void Decoder::forward(const DecoderRows& rows, const KvCache& cache) {
  weights_.refresh();
  rows_ = rows.count;
  const auto reserve = [&](Buffer& buffer, int64_t columns) {
    buffer.reserve(backend_, static_cast<size_t>(rows.count * columns) * sizeof(float));
  };
  reserve(stream_, config_.hiddenSize);
  reserve(normed_, config_.hiddenSize);
  reserve(qkv_, config_.qkvWidth());
  reserve(attention_, config_.heads * config_.headDim);
  reserve(gateUp_, 2 * config_.intermediateSize);
  reserve(feedForward_, config_.intermediateSize);
  backend_.embedding(Tensor(stream_.f32(), {rows.count, config_.hiddenSize}), parameters_.embedding,
                     rows.tokens);
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    attentionHalf(rows, cache, layer);
    feedForwardHalf(rows.count, layer);
  }
}

void Decoder::attentionHalf(const DecoderRows& rows, const KvCache& cache, int64_t layer) {
  const int64_t count = rows.count, heads = config_.heads, kvHeads = config_.kvHeads,
                headDim = config_.headDim;
  const LayerParameters& parameters = parameters_.layers[static_cast<size_t>(layer)];
  const Tensor stream(stream_.f32(), {count, config_.hiddenSize}),
      normed(normed_.f32(), {count, config_.hiddenSize});
  const Tensor qkv(qkv_.f32(), {count, config_.qkvWidth()}),
      attention(attention_.f32(), {count, heads * headDim});
  backend_.rmsNorm(normed, Tensor(), stream, parameters.inputNorm, config_.rmsNormEpsilon);
  weights_.project(qkv, normed, layer, Projection::Qkv);
  if (config_.qkvBias) backend_.addBias(qkv, parameters.qkvBias);
  if (config_.qkNorm) {
    backend_.headNorm(qkv, Tensor(), qkv, parameters.queryNorm, parameters.keyNorm, heads, kvHeads, headDim,
                      config_.rmsNormEpsilon);
  }
  backend_.rotary(qkv, heads + kvHeads, headDim, rows.positions, inverseFrequencies_.data(), 1);
  backend_.writeCache(cache.layer(layer), qkv, rows.cached, heads, kvHeads, headDim);
  backend_.cachedAttention(attention, cache.layer(layer), qkv, rows.cached, heads, kvHeads, headDim);
  weights_.project(normed, attention, layer, Projection::Output);
  backend_.add(stream, stream, normed);
}

void Decoder::feedForwardHalf(int64_t rows, int64_t layer) {
  const LayerParameters& parameters = parameters_.layers[static_cast<size_t>(layer)];
  const Tensor stream(stream_.f32(), {rows, config_.hiddenSize}),
      normed(normed_.f32(), {rows, config_.hiddenSize});
  const Tensor gateUp(gateUp_.f32(), {rows, 2 * config_.intermediateSize});
  const Tensor feedForward(feedForward_.f32(), {rows, config_.intermediateSize});
  backend_.rmsNorm(normed, Tensor(), stream, parameters.postNorm, config_.rmsNormEpsilon);
  weights_.project(gateUp, normed, layer, Projection::GateUp);
  backend_.swiglu(feedForward, gateUp);
  weights_.project(normed, feedForward, layer, Projection::Down);
  backend_.add(stream, stream, normed);
}

Tensor Decoder::logits(const int32_t* index, int64_t count) {
  sampled_.reserve(backend_, static_cast<size_t>(count * config_.hiddenSize) * sizeof(float));
  logits_.reserve(backend_, static_cast<size_t>(count * config_.vocabSize) * sizeof(float));
  const Tensor sampled(sampled_.f32(), {count, config_.hiddenSize}),
      logits(logits_.f32(), {count, config_.vocabSize});
  const Tensor stream(stream_.f32(), {rows_, config_.hiddenSize});
  backend_.gatherRows(sampled, stream, index);
  backend_.rmsNorm(sampled, Tensor(), sampled, parameters_.finalNorm, config_.rmsNormEpsilon);
  weights_.logits(logits, sampled);
  return logits;
}

}  // namespace hdpo
