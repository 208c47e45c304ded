#include "model/parameters.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"

namespace hdpo {

namespace {

constexpr float kInitialDeviation = 0.02f;

bool endsWith(const std::string& text, const std::string& ending) {
  return text.size() >= ending.size() &&
         text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

void appendLayer(ParameterLayout& layout, const ModelConfig& config, int64_t layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  const int64_t width = config.hiddenSize, queries = config.heads * config.headDim;
  const int64_t keys = config.kvHeads * config.headDim, inner = config.intermediateSize;
  layout.vector(prefix + "input_layernorm.weight", width);
  layout.matrix(attention + "q_proj.weight", queries, width);
  layout.matrix(attention + "k_proj.weight", keys, width);
  layout.matrix(attention + "v_proj.weight", keys, width);
  if (config.qkvBias) {
    layout.vector(attention + "q_proj.bias", queries);
    layout.vector(attention + "k_proj.bias", keys);
    layout.vector(attention + "v_proj.bias", keys);
  }
  if (config.qkNorm) {
    layout.vector(attention + "q_norm.weight", config.headDim);
    layout.vector(attention + "k_norm.weight", config.headDim);
  }
  layout.matrix(attention + "o_proj.weight", width, queries);
  layout.vector(prefix + "post_attention_layernorm.weight", width);
  layout.matrix(mlp + "gate_proj.weight", inner, width);
  layout.matrix(mlp + "up_proj.weight", inner, width);
  layout.matrix(mlp + "down_proj.weight", width, inner);
}

// Takes the tensors in the order of appendLayer.
template <class Cursor>
LayerParameters layerViews(Cursor& cursor, const ModelConfig& config) {
  LayerParameters layer;
  layer.inputNorm = cursor.vector(config.hiddenSize);
  layer.qkv = cursor.matrix(config.qkvWidth(), config.hiddenSize);
  if (config.qkvBias) layer.qkvBias = cursor.vector(config.qkvWidth());
  if (config.qkNorm) layer.queryNorm = cursor.vector(config.headDim);
  if (config.qkNorm) layer.keyNorm = cursor.vector(config.headDim);
  layer.output = cursor.matrix(config.hiddenSize, config.heads * config.headDim);
  layer.postNorm = cursor.vector(config.hiddenSize);
  layer.gateUp = cursor.matrix(2 * config.intermediateSize, config.hiddenSize);
  layer.down = cursor.matrix(config.hiddenSize, config.intermediateSize);
  return layer;
}

}  // namespace

std::vector<ParameterEntry> parameterEntries(const ModelConfig& config) {
  validate(config);
  ParameterLayout layout;
  layout.matrix("model.embed_tokens.weight", config.vocabSize, config.hiddenSize);
  for (int64_t layer = 0; layer < config.layers; ++layer) appendLayer(layout, config, layer);
  layout.vector("model.norm.weight", config.hiddenSize);
  if (!config.tieEmbeddings) layout.matrix("lm_head.weight", config.vocabSize, config.hiddenSize);
  return layout.take();
}

Parameters::Parameters(Backend& backend, const ModelConfig& config, DType precision)
    : ParameterSet(backend, parameterEntries(config), precision), config_(config) {
  Cursor cursor(*this);
  embedding = cursor.matrix(config.vocabSize, config.hiddenSize);
  for (int64_t layer = 0; layer < config.layers; ++layer) layers.push_back(layerViews(cursor, config));
  finalNorm = cursor.vector(config.hiddenSize);
  head = config.tieEmbeddings ? embedding : cursor.matrix(config.vocabSize, config.hiddenSize);
}

void Parameters::initialize(uint64_t seed) {
  const float residualDeviation = kInitialDeviation / std::sqrt(2.0f * static_cast<float>(config_.layers));
  std::vector<float> values;
  for (size_t index = 0; index < entries().size(); ++index) {
    const ParameterEntry& entry = entries()[index];
    values.resize(static_cast<size_t>(entry.count));
    if (entry.decays) {  // a matrix; its index is the stream of random numbers
      const bool residual = endsWith(entry.name, "o_proj.weight") || endsWith(entry.name, "down_proj.weight");
      const float deviation = residual ? residualDeviation : kInitialDeviation;
      for (int64_t i = 0; i < entry.count; ++i) values[i] = deviation * normal(seed, index, i);
    } else {
      std::fill(values.begin(), values.end(), endsWith(entry.name, ".bias") ? 0.0f : 1.0f);
    }
    write(entry, values.data());
  }
}

}  // namespace hdpo
