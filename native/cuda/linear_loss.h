// The last projection fused with the policy loss: shapes in ops/policy_loss.h, equations in
// native/cpu/linear_loss.cpp. Logits are float32 and exist for one part of the rows at a time; their
// gradients, in the type of the weight, for one chunk, so that the products back have enough rows to be
// efficient.
#pragma once

#include <cstddef>
#include <functional>

#include "cuda/types.h"
#include "ops/policy_loss.h"

namespace hdpo::cuda {

// out = op(a) * op(b) + beta * out on the stream, a and b of one type, out float32: cuBLAS, or a plain loop
// in tests.
using MatrixProduct = std::function<void(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                                         bool transposeB, float beta)>;

struct LinearLossPlan {
  int64_t partRows = 0, chunkRows = 0;  // rows of logits, and of their gradients (a multiple of partRows)
  size_t workspaceBytes = 0;
};
// Within `workspaceLimit` where that allows one row. weight bfloat16 and hidden float32: hidden is rounded in
// the workspace.
LinearLossPlan linearLossPlan(const LinearLossInput& input, const LinearLossOutput& output);

// All pointers, those inside input and output too, in device memory; gradHidden float32. `sums` is written
// (workspaceBytes left 0).
void linearLoss(Stream stream, PolicyLossSums* sums, const LinearLossInput& input,
                const LinearLossOutput& output, const LinearLossPlan& plan, void* workspace,
                const MatrixProduct& product);

}  // namespace hdpo::cuda
