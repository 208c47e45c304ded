// Conversions, sums, biases and moves of rows; see ops/backend.h. T: float or BFloat16. index is in device
// memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"

namespace hdpo::cuda {

template <typename To, typename From>
void convert(Stream stream, To* out, const From* in, int64_t count);
template <typename T>
void add(Stream stream, T* out, const T* a, const T* b, int64_t count);  // out may be a or b
template <typename T>
void addBias(Stream stream, T* rows, const float* bias, int64_t count, int64_t columns);

size_t biasBackwardWorkspaceBytes(int64_t rows, int64_t columns);
template <typename T>
void biasBackward(Stream stream, float* gradBias, const T* gradRows, int64_t rows, int64_t columns,
                  void* workspace);

// gather: out[i] = rows[index[i]] for i < count.
template <typename T>
void gatherRows(Stream stream, T* out, const T* rows, const int32_t* index, int64_t count, int64_t columns);
// scatter: out [outRows, columns] = 0, then out[index[i]] = rows[i] for i < count.
template <typename T>
void scatterRows(Stream stream, T* out, int64_t outRows, const T* rows, const int32_t* index, int64_t count,
                 int64_t columns);

}  // namespace hdpo::cuda
