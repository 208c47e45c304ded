// Marks functions that kernels call too.
#pragma once

#if defined(__CUDACC__)
#define HDPO_HOST_DEVICE __host__ __device__
#else
#define HDPO_HOST_DEVICE
#endif
