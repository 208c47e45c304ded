// native/cpu/embedding.cpp has the shapes. tokens [rows] is in device memory. T: activations, W: the table;
// each float or BFloat16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

template <typename T, typename W>
void embedding(Stream stream, T* out, const W* table, const int32_t* tokens, int64_t rows, int64_t columns);

// Adds to gradTable; the rows of a token are added in the order of the batch.
size_t embeddingBackwardWorkspaceBytes(int64_t rows, int64_t vocabSize);
template <typename T>
void embeddingBackward(Stream stream, float* gradTable, const T* gradOut, const int32_t* tokens, int64_t rows,
                       int64_t columns, int64_t vocabSize, void* workspace);

}  // namespace hdpo::cuda
