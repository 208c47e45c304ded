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

// Appends entries in the order of memory; the order within a layer is what makes the fused views possible.
class Layout {
 public:
  void matrix(const std::string& name, int64_t rows, int64_t columns) { append(name, {rows, columns}, true); }
  void vector(const std::string& name, int64_t count) { append(name, {count}, false); }
  std::vector<ParameterEntry> take() { return std::move(entries_); }

 private:
  void append(const std::string& name, std::vector<int64_t> shape, bool decays) {
    int64_t count = 1;
    for (int64_t dimension : shape) count *= dimension;
    entries_.push_back({name, std::move(shape), offset_, count, decays});
    offset_ += count;
  }
  std::vector<ParameterEntry> entries_;
  int64_t offset_ = 0;
};

void appendLayer(Layout& layout, const ModelConfig& config, int64_t layer) {
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

// Reads the flat buffer in the order of appendLayer.
class Cursor {
 public:
  explicit Cursor(float* position) : position_(position) {}
  Tensor matrix(int64_t rows, int64_t columns) { return advance(Tensor(position_, {rows, columns})); }
  Tensor vector(int64_t count) { return advance(Tensor(position_, {count})); }

 private:
  Tensor advance(Tensor view) {
    position_ += view.count();
    return view;
  }
  float* position_;
};

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
  Layout layout;
  layout.matrix("model.embed_tokens.weight", config.vocabSize, config.hiddenSize);
  for (int64_t layer = 0; layer < config.layers; ++layer) appendLayer(layout, config, layer);
  layout.vector("model.norm.weight", config.hiddenSize);
  if (!config.tieEmbeddings) layout.matrix("lm_head.weight", config.vocabSize, config.hiddenSize);
  return layout.take();
}

Parameters::Parameters(Backend& backend, const ModelConfig& config)
    : backend_(backend), config_(config), entries_(parameterEntries(config)) {
  count_ = entries_.back().offset + entries_.back().count;
  storage_.reserve(backend_, static_cast<size_t>(count_) * sizeof(float));
  zero();

  Cursor cursor(storage_.f32());
  embedding = cursor.matrix(config.vocabSize, config.hiddenSize);
  for (int64_t layer = 0; layer < config.layers; ++layer) layers.push_back(layerViews(cursor, config));
  finalNorm = cursor.vector(config.hiddenSize);
  head = config.tieEmbeddings ? embedding : cursor.matrix(config.vocabSize, config.hiddenSize);
}

Tensor Parameters::flat() const { return Tensor(storage_.f32(), {count_}); }

Tensor Parameters::view(const ParameterEntry& entry) const {
  float* data = storage_.f32() + entry.offset;
  return entry.shape.size() == 1 ? Tensor(data, {entry.shape[0]})
                                 : Tensor(data, {entry.shape[0], entry.shape[1]});
}

void Parameters::zero() { backend_.zero(storage_.data(), flat().bytes()); }

void Parameters::copyFrom(const Parameters& other) {
  require(other.count_ == count_, "ERR_SHAPE",
          "copyFrom needs parameters of the same model: " + std::to_string(count_) + " values here, " +
              std::to_string(other.count_) + " there");
  // By way of the host, in pieces: the two may live in different backends.
  std::vector<float> staging(std::min<int64_t>(count_, int64_t{1} << 18));
  for (int64_t begin = 0; begin < count_; begin += static_cast<int64_t>(staging.size())) {
    const size_t bytes = std::min<size_t>(staging.size(), count_ - begin) * sizeof(float);
    other.backend_.copyToHost(staging.data(), other.storage_.f32() + begin, bytes);
    backend_.copyFromHost(storage_.f32() + begin, staging.data(), bytes);
  }
}

void Parameters::initialize(uint64_t seed) {
  const float residualDeviation = kInitialDeviation / std::sqrt(2.0f * static_cast<float>(config_.layers));
  std::vector<float> values;
  for (size_t index = 0; index < entries_.size(); ++index) {
    const ParameterEntry& entry = entries_[index];
    values.resize(static_cast<size_t>(entry.count));
    if (entry.decays) {  // a matrix; its index is the stream of random numbers
      const bool residual = endsWith(entry.name, "o_proj.weight") || endsWith(entry.name, "down_proj.weight");
      const float deviation = residual ? residualDeviation : kInitialDeviation;
      for (int64_t i = 0; i < entry.count; ++i) values[i] = deviation * normal(seed, index, i);
    } else {
      std::fill(values.begin(), values.end(), endsWith(entry.name, ".bias") ? 0.0f : 1.0f);
    }
    backend_.copyFromHost(storage_.f32() + entry.offset, values.data(), values.size() * sizeof(float));
  }
}

}  // namespace hdpo
