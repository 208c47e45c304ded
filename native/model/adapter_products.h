// The low-rank part of one group of projections, forward and backward (model/adapter.h). x is the group's
// input [N, I], A [W, I] its stacked A matrices and S [O, W] its B matrices spread over the diagonal, times
// the scale:
//   y  += dropout(x) A^T S^T
//   dA += (dy S)^T dropout(x)
//   dS += dy^T (dropout(x) A^T)
//   dx += dropout(dy S A)
// Beside bfloat16 weights every one of these products rounds its operands to bfloat16, as the products with
// the weights do and as generation does (generation/packed_weights.h): that is twice as fast. A and B
// themselves and all sums stay float32.
#pragma once

#include "model/adapter.h"

namespace hdpo {

// The dropout of one forward and its backward: none, or one mask per group and layer.
struct AdapterDropout {
  float probability = 0;
  uint64_t seed = 0;
  uint64_t step = 0;       // step of the optimiser
  int64_t firstToken = 0;  // index of the batch's first row among the step's tokens

  DropoutMask mask(int64_t layer, Projection projection) const;
};

// The input that an adapter is applied to. Beside bfloat16 weights, `rounded` is a float32 x in bfloat16;
// otherwise it is empty. It is overwritten with dropout(x).
struct AdapterInput {
  Tensor x, rounded;
  const Tensor& operand() const { return rounded ? rounded : x; }
};

// Temporary tensors, which may be larger than needed. A is the activations' type. Only backward uses those of
// the last two lines.
struct AdapterScratch {
  Tensor dropped;         // [N, largest input] A; empty without dropout
  Tensor reduced;         // [N, largest W] A
  Tensor roundedReduced;  // [N, largest W] in bfloat16, beside weights of that type where A is float32
  Tensor spread;          // [largest O * W] floats
  Tensor gradReduced;     // [N, largest W] A
  Tensor gradSpread;      // [largest O * W] floats
};

// The largest input width, W, and O * W over all groups.
struct AdapterScratchSizes {
  int64_t inputs = 0, width = 0, spread = 0;
};
AdapterScratchSizes adapterScratchSizes(const ModelConfig& config, const AdapterOptions& options);

class AdapterProducts {
 public:
  AdapterProducts(Backend& backend, const AdapterOptions& options, const AdapterScratch& scratch)
      : backend_(backend), scale_(options.scale()), scratch_(scratch) {}

  // Adds the update of x [N, I] to y [N, O], which is A or float32.
  void forward(const Tensor& y, const AdapterInput& x, const AdapterGroup& group,
               const DropoutMask& mask) const;

  // Adds to the gradients of A and B, and leaves in the scratch what addInputGradient needs. gradY has the
  // type of the weights.
  void backward(const AdapterGroup& gradients, const Tensor& gradY, const AdapterInput& x,
                const AdapterGroup& group, const DropoutMask& mask) const;
  // Adds the update's part to gradX. To be called right after backward.
  void addInputGradient(const Tensor& gradX, const AdapterGroup& group, const DropoutMask& mask) const;

 private:
  Tensor reduce(const AdapterInput& x, const AdapterGroup& group, const DropoutMask& mask,
                Tensor& input) const;
  Tensor operand(const Tensor& reduced) const;
  Tensor spread(const AdapterGroup& group) const;

  Backend& backend_;
  float scale_;
  AdapterScratch scratch_;
};

}  // namespace hdpo
