// Grouped advantages of a batch of rollouts on the device: docs/algorithm.md, "Two advantages".
#pragma once

#include <cstddef>

#include "cuda/types.h"
#include "ops/policy_loss.h"

namespace hdpo::cuda {

// All pointers of input and output are in device memory. The same input gives the same bits.
size_t groupAdvantagesWorkspaceBytes(int64_t rollouts);
void groupAdvantages(Stream stream, const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output,
                     void* workspace);

}  // namespace hdpo::cuda
