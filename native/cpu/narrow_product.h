// out [M, Q] += a [M, P] * op(b) in bfloat16 where P is short, as in the second product of an adapter. Most
// of the work is then to read and write `out`, and oneDNN, whose tiles of it are a few rows by 256 bytes,
// does that at a quarter of the memory's rate.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor.h"

namespace hdpo {

// Whether addNarrowProduct exists in this build, and is faster, for a product of this shape that adds to its
// output.
bool narrowProductServes(int64_t rows, int64_t columns, int64_t inner);

// Bytes that `panels`, the memory for b, needs.
size_t narrowProductBytes(int64_t columns, int64_t inner);

// out [M, Q] float32; a [M, P] bfloat16; b [P, Q], or [Q, P] where `transposeB`, bfloat16.
void addNarrowProduct(const Tensor& out, const uint16_t* a, const uint16_t* b, bool transposeB, int64_t inner,
                      uint16_t* panels);

}  // namespace hdpo
