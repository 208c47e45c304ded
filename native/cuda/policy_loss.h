// The policy loss from logits, plain and as part of the fused projection (linear_loss.h).
#pragma once

#include <cstddef>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// All pointers of input and output, and sums, are in device memory; `sums` is written (workspaceBytes stays
// 0).
size_t policyLossWorkspaceBytes(const MatrixShape& logits);
void policyLoss(Stream stream, PolicyLossSums* sums, const PolicyLossInput& input,
                const PolicyLossOutput& output, void* workspace);

}  // namespace hdpo::cuda
