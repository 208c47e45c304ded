// Conversions, sums, biases and moves of rows; see ops/op_list.h. T: float or BFloat16. index is in device
// memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

template <typename To, typename From>
void convert(Stream stream, To* out, const From* in, int64_t count);
template <typename T>
void add(Stream stream, T* out, const T* a, const T* b, int64_t count);  // out may be a or b
template <typename T>
void addBias(Stream stream, T* rows, const float* bias, const MatrixShape& shape);

size_t biasBackwardWorkspaceBytes(const MatrixShape& shape);
template <typename T>
void biasBackward(Stream stream, float* gradBias, const T* gradRows, const MatrixShape& shape,
                  void* workspace);

// gather: out[i] = rows[index[i]] for every row i of out, whose shape is given.
template <typename T>
void gatherRows(Stream stream, T* out, const T* rows, const int32_t* index, const MatrixShape& shape);
// scatter: out [outRows, C] = 0, then out[index[i]] = rows[i] for every row i of `rows`, whose shape is
// given.
template <typename T>
void scatterRows(Stream stream, T* out, int64_t outRows, const T* rows, const int32_t* index,
                 const MatrixShape& shape);

}  // namespace hdpo::cuda
