// What the launchers of native/cuda take: a stream, and bfloat16 by its bits. Including it needs no CUDA
// header.
#pragma once

#include <cstdint>

// CUDA's own names for what a cudaStream_t and a cudaGraphExec_t point to.
struct CUstream_st;
struct CUgraphExec_st;

namespace hdpo::cuda {

using Stream = CUstream_st*;

struct alignas(2) BFloat16 {
  uint16_t bits;
};

}  // namespace hdpo::cuda
