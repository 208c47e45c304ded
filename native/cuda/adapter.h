// What LoRA needs beside matrix products; see ops/op_list.h. T: float or BFloat16 for activations.
#pragma once

#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// out may be rows. The mask equals the CPU's, bit for bit.
template <typename T>
void dropout(Stream stream, T* out, const T* rows, const MatrixShape& shape, const DropoutMask& mask);

// blocks lie in host memory, at most kMostAdapterBlocks of them; `outputs` is the height of out [outputs,
// modules * rank].
constexpr int64_t kMostAdapterBlocks = 8;
void spreadBlocks(Stream stream, float* out, int64_t outputs, const float* up, const AdapterBlock* blocks,
                  int64_t modules, int64_t rank, float scale);
void spreadBlocksBackward(Stream stream, float* gradUp, const float* gradOut, const AdapterBlock* blocks,
                          int64_t modules, int64_t rank, float scale);

}  // namespace hdpo::cuda
