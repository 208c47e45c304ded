// Shapes: native/cpu/embedding.cpp; `shape` is that of out, tokens [rows] lies in device memory. T is the
// type of activations, W that of the table: float or BFloat16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

template <typename T, typename W>
void embedding(Stream stream, T* out, const W* table, const int32_t* tokens, const MatrixShape& shape);

// Adds to gradTable; the rows of a token are added in the order of the batch.
size_t embeddingBackwardWorkspaceBytes(int64_t rows, int64_t vocabSize);
template <typename T>
void embeddingBackward(Stream stream, float* gradTable, const T* gradOut, const int32_t* tokens,
                       const MatrixShape& shape, int64_t vocabSize, void* workspace);

}  // namespace hdpo::cuda
