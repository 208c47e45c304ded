// The last projection fused with the policy loss: ops/policy_loss.h has the shapes,
// native/cpu/linear_loss.cpp the equations. Logits are float32 and exist for one part of the rows at a time.
// Their gradients, in the type of the weight, exist for one chunk at a time, so that the products back have
// enough rows to be efficient.
#pragma once

#include <cstddef>
#include <functional>

#include "cuda/types.h"
#include "ops/policy_loss.h"

namespace hdpo::cuda {

// out = op(a) * op(b) + beta * out on the stream, where a and b have one type and out is float32. cuBLAS
// computes it; in tests a plain loop does.
using MatrixProduct = std::function<void(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                                         bool transposeB, float beta)>;

struct LinearLossPlan {
  int64_t partRows = 0, chunkRows = 0;  // rows of logits, and of their gradients (a multiple of partRows)
  size_t workspaceBytes = 0;
};
// Stays within `workspaceLimit` where that allows at least one row. Where weight is bfloat16 and hidden is
// float32, hidden is rounded in the workspace.
LinearLossPlan linearLossPlan(const LinearLossInput& input, const LinearLossOutput& output);

// All pointers, also those inside input and output, are in device memory; gradHidden is float32. `sums` is
// written (workspaceBytes stays 0).
void linearLoss(Stream stream, PolicyLossSums* sums, const LinearLossInput& input,
                const LinearLossOutput& output, const LinearLossPlan& plan, void* workspace,
                const MatrixProduct& product);

}  // namespace hdpo::cuda
