#include "model/adapter_products.h"

#include <algorithm>

namespace hdpo {

namespace {

// The first rows * columns values of a scratch tensor.
Tensor shaped(const Tensor& scratch, int64_t rows, int64_t columns) {
  return Tensor(scratch.data, scratch.dtype, {rows, columns});
}

}  // namespace

DropoutMask AdapterDropout::mask(int64_t layer, Projection projection) const {
  const uint64_t stream = step << 16 | static_cast<uint64_t>(layer) << 4 | static_cast<uint64_t>(projection);
  return {probability, seed, stream, firstToken};
}

AdapterScratchSizes adapterScratchSizes(const ModelConfig& config, const AdapterOptions& options) {
  AdapterScratchSizes sizes;
  for (const AdapterShape& group : adapterShapes(config, options)) {
    sizes.inputs = std::max(sizes.inputs, group.width > 0 ? group.inputs : 0);
    sizes.width = std::max(sizes.width, group.width);
    sizes.spread = std::max(sizes.spread, group.outputs * group.width);
  }
  return sizes;
}

// dropout(x) A^T [N, W]. `input` becomes dropout(x), rounded where x is rounded.
Tensor AdapterProducts::reduce(const AdapterInput& given, const AdapterGroup& group, const DropoutMask& mask,
                               Tensor& input) const {
  const Tensor& x = given.x;
  input = given.operand();
  if (mask.probability > 0) {
    const Tensor dropped = shaped(scratch_.dropped, x.shape[0], x.shape[1]);
    backend_.dropout(dropped, x, mask);
    if (given.rounded) {
      backend_.convert(input, dropped);
    } else {
      input = dropped;
    }
  }
  const Tensor reduced = shaped(scratch_.reduced, x.shape[0], group.width());
  backend_.matmul(reduced, input, false, group.down, true, 0);
  return reduced;
}

// `reduced`, or its gradient, as the products take it: beside bfloat16 weights it is rounded if it is not
// yet.
Tensor AdapterProducts::operand(const Tensor& reduced) const {
  if (!scratch_.roundedReduced) return reduced;
  const Tensor rounded(scratch_.roundedReduced.data, DType::BFloat16, {reduced.shape[0], reduced.shape[1]});
  backend_.convert(rounded, reduced);
  return rounded;
}

Tensor AdapterProducts::spread(const AdapterGroup& group) const {
  const Tensor spread = shaped(scratch_.spread, group.outputs, group.width());
  backend_.spreadBlocks(spread, group.up, group.blocks.data(), static_cast<int64_t>(group.blocks.size()),
                        scale_);
  return spread;
}

void AdapterProducts::forward(const Tensor& y, const AdapterInput& x, const AdapterGroup& group,
                              const DropoutMask& mask) const {
  Tensor input;
  const Tensor reduced = operand(reduce(x, group, mask, input));
  backend_.matmul(y, reduced, false, spread(group), true, 1);
}

void AdapterProducts::backward(const AdapterGroup& gradients, const Tensor& gradY, const AdapterInput& x,
                               const AdapterGroup& group, const DropoutMask& mask) const {
  Tensor input;
  const Tensor reduced = reduce(x, group, mask, input);
  const Tensor gradReduced = shaped(scratch_.gradReduced, gradY.shape[0], group.width());
  const Tensor gradSpread = shaped(scratch_.gradSpread, group.outputs, group.width());
  backend_.matmul(gradSpread, gradY, true, reduced, false, 0);
  backend_.matmul(gradReduced, gradY, false, spread(group), false, 0);
  backend_.matmul(gradients.down, operand(gradReduced), true, input, false, 1);
  backend_.spreadBlocksBackward(gradients.up, gradSpread, group.blocks.data(),
                                static_cast<int64_t>(group.blocks.size()), scale_);
}

void AdapterProducts::addInputGradient(const Tensor& gradX, const AdapterGroup& group,
                                       const DropoutMask& mask) const {
  Tensor gradReduced = shaped(scratch_.gradReduced, gradX.shape[0], group.width());
  if (const Tensor& rounded = scratch_.roundedReduced) {  // backward has left it there
    gradReduced = Tensor(rounded.data, DType::BFloat16, {gradX.shape[0], group.width()});
  }
  if (mask.probability == 0) {
    backend_.matmul(gradX, gradReduced, false, group.down, false, 1);
    return;
  }
  const Tensor part = shaped(scratch_.dropped, gradX.shape[0], gradX.shape[1]);
  backend_.matmul(part, gradReduced, false, group.down, false, 0);
  backend_.dropout(part, part, mask);
  backend_.add(gradX, gradX, part);
}

}  // namespace hdpo
