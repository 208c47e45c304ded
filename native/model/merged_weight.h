// Weights with an adapter's product added, one matrix at a time and in memory of their own: W + scale * B A
// in float32, so that nothing is rounded before the caller's own format. The weights are not touched.
#pragma once

#include "model/adapter.h"
#include "model/parameters.h"

namespace hdpo {

class MergedWeight {
 public:
  // adapter may be null: the weights are then returned as they are.
  MergedWeight(const Parameters& weights, const Adapter* adapter);

  // Returns a tensor by its Hugging Face name, valid until the next call.
  Tensor of(const ParameterEntry& entry);
  // Returns a group's fused projection; `weight` must be that projection in these weights.
  Tensor of(int64_t layer, Projection projection, const Tensor& weight);

 private:
  const Parameters& weights_;
  const Adapter* adapter_;
  Buffer sum_, spread_;
};

}  // namespace hdpo
