#include "model/merged_weight.h"

namespace hdpo {

namespace {

// The fused matrix that `view` is a part of, if any.
struct Fused {
  int64_t layer = -1;
  Projection projection = Projection::Qkv;
  Tensor weight;
};

bool inside(const Tensor& part, const Tensor& whole) {
  const char *at = static_cast<const char*>(part.data), *begin = static_cast<const char*>(whole.data);
  return begin <= at && at < begin + whole.bytes();
}

Fused fusedOf(const Parameters& weights, const Tensor& view) {
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerParameters& layer = weights.layers[i];
    const auto index = static_cast<int64_t>(i);
    if (inside(view, layer.qkv)) return {index, Projection::Qkv, layer.qkv};
    if (inside(view, layer.output)) return {index, Projection::Output, layer.output};
    if (inside(view, layer.gateUp)) return {index, Projection::GateUp, layer.gateUp};
    if (inside(view, layer.down)) return {index, Projection::Down, layer.down};
  }
  return {};
}

}  // namespace

MergedWeight::MergedWeight(const Parameters& weights, const Adapter* adapter)
    : weights_(weights), adapter_(adapter) {}

Tensor MergedWeight::of(const ParameterEntry& entry) {
  const Tensor view = weights_.view(entry);
  if (!adapter_) return view;
  const Fused fused = fusedOf(weights_, view);
  if (fused.layer < 0) return view;
  const Tensor sum = of(fused.layer, fused.projection, fused.weight);
  if (sum.data == fused.weight.data) return view;
  const size_t bytes =
      static_cast<size_t>(static_cast<char*>(view.data) - static_cast<char*>(fused.weight.data));
  const int64_t firstRow = static_cast<int64_t>(bytes / (sizeOf(view.dtype) * view.shape[1]));
  return sum.rows(firstRow, firstRow + view.shape[0]);
}

Tensor MergedWeight::of(int64_t layer, Projection projection, const Tensor& weight) {
  if (!adapter_) return weight;
  const AdapterGroup& group = adapter_->group(layer, projection);
  if (!group) return weight;
  Backend& backend = weights_.backend();
  const Tensor sum = sum_.holding(backend, Tensor(nullptr, {weight.shape[0], weight.shape[1]}));
  const Tensor spread = spread_.holding(backend, Tensor(nullptr, {group.outputs, group.width()}));
  backend.spreadBlocks(spread, group.up, group.blocks.data(), static_cast<int64_t>(group.blocks.size()),
                       adapter_->options().scale());
  backend.convert(sum, weight);
  backend.matmul(sum, spread, false, group.down, false, 1);
  return sum;
}

}  // namespace hdpo
