// What the launchers of native/cuda take: a stream, and bfloat16 by its bits. No CUDA header is needed to
// include it.
#pragma once

#include <cstdint>

struct CUstream_st;  // CUDA's own name for what a cudaStream_t points to

namespace hdpo::cuda {

using Stream = CUstream_st*;

struct alignas(2) BFloat16 {
  uint16_t bits;
};

}  // namespace hdpo::cuda
