#include "generation/packed_weights.h"

#include "model/adapter_products.h"
#include "model/merged_weight.h"

namespace hdpo {

namespace {

// The format of an adapter beside the weights: it is too small for int8 to be worth its error.
constexpr PackedFormat kAdapterFormat = PackedFormat::BFloat16;

// Places packed matrices one after the other in a buffer. Without a buffer it only measures.
class Shelf {
 public:
  Shelf(Backend& backend, PackedFormat format, void* memory)
      : backend_(backend), format_(format), memory_(static_cast<char*>(memory)) {}
  PackedWeight place(int64_t outputs, int64_t inputs) {
    PackedWeight packed;
    packed.outputs = outputs;
    packed.inputs = inputs;
    packed.format = format_;
    packed.data = memory_ ? memory_ + used_ : nullptr;
    used_ += (backend_.packedBytes({.rows = outputs, .columns = inputs}, format_) + 63) / 64 * 64;
    return packed;
  }
  PackedWeight pack(const Tensor& weight) {
    const PackedWeight packed = place(weight.shape[0], weight.shape[1]);
    if (memory_) backend_.packWeight(packed, weight);
    return packed;
  }
  size_t used() const { return used_; }

 private:
  Backend& backend_;
  PackedFormat format_;
  char* memory_;
  size_t used_ = 0;
};

const Tensor& weightOf(const LayerParameters& layer, Projection projection) {
  switch (projection) {
    case Projection::Qkv:
      return layer.qkv;
    case Projection::Output:
      return layer.output;
    case Projection::GateUp:
      return layer.gateUp;
    case Projection::Down:
      break;
  }
  return layer.down;
}

constexpr std::array<Projection, 4> kProjections = {Projection::Qkv, Projection::Output, Projection::GateUp,
                                                    Projection::Down};

size_t adapterBytes(Backend& backend, const ModelConfig& config, const AdapterOptions& options) {
  Shelf shelf(backend, kAdapterFormat, nullptr);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const AdapterShape& shape : adapterShapes(config, options)) {
      if (shape.width == 0) continue;
      shelf.place(shape.width, shape.inputs);
      shelf.place(shape.outputs, shape.width);
    }
  }
  return shelf.used();
}

size_t weightBytes(Backend& backend, const ModelConfig& config, PackedFormat format) {
  Shelf shelf(backend, format, nullptr);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    shelf.place(config.qkvWidth(), config.hiddenSize);
    shelf.place(config.hiddenSize, config.heads * config.headDim);
    shelf.place(2 * config.intermediateSize, config.hiddenSize);
    shelf.place(config.hiddenSize, config.intermediateSize);
  }
  shelf.place(config.vocabSize, config.hiddenSize);
  return shelf.used();
}

}  // namespace

PackedWeights::PackedWeights(Backend& backend, const Parameters& weights, const Adapter* adapter,
                             PackedFormat format)
    : backend_(backend), weights_(weights), adapter_(adapter), format_(format) {}

size_t PackedWeights::bytes(Backend& backend, const ModelConfig& config, const AdapterOptions* adapter,
                            PackedFormat format, DType precision) {
  const bool summed = adapter && format == PackedFormat::Float32;
  const bool inPlace = !summed && backend.packsInPlace(precision, format);
  return (inPlace ? 0 : weightBytes(backend, config, format)) +
         (adapter && format != PackedFormat::Float32 ? adapterBytes(backend, config, *adapter) : 0);
}

void PackedWeights::setMerged(bool merged) {
  if (merged != merged_) weightsChanged();
  merged_ = merged;
}

void PackedWeights::refresh() {
  if (!weightsPacked_) packWeights();
  if (!adapterPacked_ && adapter_ && !inWeights()) packAdapter();
  weightsPacked_ = adapterPacked_ = true;
}

// Weights are not copied where the backend multiplies with them as they are and no adapter is merged in them.
void PackedWeights::packWeights() {
  const Adapter* summed = inWeights() ? adapter_ : nullptr;
  layers_.resize(weights_.layers.size());
  if (!summed && backend_.packsInPlace(weights_.head.dtype, format_)) return useInPlace();
  weightMemory_.reserve(backend_, weightBytes(backend_, weights_.config(), format_));
  Shelf shelf(backend_, format_, weightMemory_.data());
  MergedWeight merged(weights_, summed);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    for (const Projection projection : kProjections) {
      const Tensor& weight = weightOf(weights_.layers[layer], projection);
      layers_[layer][static_cast<size_t>(projection)] =
          shelf.pack(merged.of(static_cast<int64_t>(layer), projection, weight));
    }
  }
  head_ = shelf.pack(weights_.head);
}

void PackedWeights::useInPlace() {
  weightMemory_ = Buffer();  // drops the memory from when an adapter was merged
  const auto asItIs = [this](const Tensor& weight) {
    return PackedWeight{weight.shape[0], weight.shape[1], weight.data, format_};
  };
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    for (const Projection projection : kProjections) {
      layers_[layer][static_cast<size_t>(projection)] = asItIs(weightOf(weights_.layers[layer], projection));
    }
  }
  head_ = asItIs(weights_.head);
}

void PackedWeights::packAdapter() {
  const AdapterOptions& options = adapter_->options();
  adapterMemory_.reserve(backend_, adapterBytes(backend_, weights_.config(), options));
  Buffer spreadMemory(
      backend_, static_cast<size_t>(adapterScratchSizes(weights_.config(), options).spread) * sizeof(float));
  Shelf shelf(backend_, kAdapterFormat, adapterMemory_.data());
  adapters_.resize(weights_.layers.size());
  for (size_t layer = 0; layer < adapters_.size(); ++layer) {
    for (const Projection projection : kProjections) {
      const AdapterGroup& group = adapter_->group(static_cast<int64_t>(layer), projection);
      if (!group) continue;
      const Tensor spread(spreadMemory.f32(), {group.outputs, group.width()});
      backend_.spreadBlocks(spread, group.up, group.blocks.data(), static_cast<int64_t>(group.blocks.size()),
                            options.scale());
      PackedAdapter& packed = adapters_[layer][static_cast<size_t>(projection)];
      packed.down = shelf.pack(group.down);
      packed.spread = shelf.pack(spread);
    }
  }
}

void PackedWeights::project(const Tensor& y, const Tensor& x, int64_t layer, Projection projection) {
  const auto row = static_cast<size_t>(layer), column = static_cast<size_t>(projection);
  backend_.packedMatmul(y, x, layers_[row][column]);
  if (!adapter_ || inWeights() || !adapter_->group(layer, projection)) return;
  const PackedAdapter& packed = adapters_[row][column];
  const Tensor reduced =
      reduced_.holding(backend_, Tensor(nullptr, x.dtype, {x.shape[0], packed.down.outputs}));
  const Tensor update = update_.holding(backend_, y);
  backend_.packedMatmul(reduced, x, packed.down);
  backend_.packedMatmul(update, reduced, packed.spread);
  backend_.add(y, y, update);
}

}  // namespace hdpo
