// Packed products in 8-bit integers: out [R, N] = x [R, P] * weight [N, P]^T with the arithmetic of
// native/cpu/packed_int8.cpp. Weight and x are packed alike, in panels of 16 rows; packed_int8.cu says how,
// and which kernel takes which shape.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// Bytes of the panels of a matrix [rows, inputs].
size_t packedInt8Bytes(const MatrixShape& shape);

// Packs matrix [rows, inputs] of T (float or BFloat16) into panels, 16-byte aligned.
template <typename T>
void packInt8(Stream stream, void* panels, const T* matrix, const MatrixShape& shape);

struct Int8Product {
  const void *x, *weight;  // panels of [rows, inputs] and [outputs, inputs]
  int64_t rows = 0, outputs = 0, inputs = 0;
};

// This many blocks of large tiles keep a device busy; where there are fewer, tiles are smaller.
constexpr int64_t kInt8BusyBlocks = 128;

// out [rows, outputs] of T (float or BFloat16). A row has the same bits whatever rows are beside it and
// whatever the tiles are.
template <typename T>
void multiplyInt8(Stream stream, T* out, const Int8Product& product, int64_t busyBlocks = kInt8BusyBlocks);

}  // namespace hdpo::cuda
