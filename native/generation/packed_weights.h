// A model's projections laid out for generation, and the products with them. They are packed again when they
// change.
//
// Where the packed weights are float32 (or the adapter is merged), the adapter is added to them: a training
// step repacks them, and a token costs nothing more. In bfloat16 or int8 weights small updates would be
// rounded away, and early in training all of them are small. There the adapter's matrices are packed beside
// the weights and applied low-rank, and a step repacks a few megabytes. Measured at Qwen3-0.6B's shape, rank
// 32, bfloat16, 2 cores: repacking the sum takes 0.6 s per step; low-rank products take 10 to 30 ms more per
// token.
#pragma once

#include <array>
#include <vector>

#include "model/adapter.h"
#include "model/parameters.h"

namespace hdpo {

class PackedWeights {
 public:
  // adapter may be null. Nothing is packed before the first refresh().
  PackedWeights(Backend& backend, const Parameters& weights, const Adapter* adapter, PackedFormat format);

  void weightsChanged() { weightsPacked_ = adapterPacked_ = false; }
  void adapterChanged() { (inWeights() ? weightsPacked_ : adapterPacked_) = false; }
  void setMerged(bool merged);
  bool merged() const { return merged_; }

  void refresh();  // packs what has changed

  // y [R, O] = x [R, I] * weight^T plus the adapter's update, with the types of Backend::packedMatmul.
  void project(const Tensor& y, const Tensor& x, int64_t layer, Projection projection);
  void logits(const Tensor& out, const Tensor& hidden) { backend_.packedMatmul(out, hidden, head_); }

  // Bytes that refresh() takes beside weights of `precision` where nothing is merged. adapter may be null.
  static size_t bytes(Backend& backend, const ModelConfig& config, const AdapterOptions* adapter,
                      PackedFormat format, DType precision);

 private:
  struct PackedAdapter {
    PackedWeight down, spread;  // A [W, I]; B over the diagonal, with the scale [O, W]
  };

  bool inWeights() const { return merged_ || format_ == PackedFormat::Float32; }
  void packWeights();
  void useInPlace();
  void packAdapter();

  Backend& backend_;
  const Parameters& weights_;
  const Adapter* adapter_;
  const PackedFormat format_;
  bool merged_ = false;
  bool weightsPacked_ = false, adapterPacked_ = false;
  Buffer weightMemory_, adapterMemory_;
  std::vector<std::array<PackedWeight, 4>> layers_;
  std::vector<std::array<PackedAdapter, 4>> adapters_;
  PackedWeight head_;
  Buffer reduced_, update_;  // [R, W] in x's type; [R, O] in y's type
};

}  // namespace hdpo
