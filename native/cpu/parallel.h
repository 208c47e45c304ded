// When an op is worth several threads.
#pragma once

#include <cstdint>

namespace hdpo {

// Smaller ops run on the calling thread. Between ops the other threads sleep (lib/native.ts says why), and
// waking them takes 30 to 60 microseconds in a virtual machine: what follows is about as much work for one
// core.

// Elements touched.
constexpr int64_t kParallelElements = int64_t{1} << 17;
// Multiply-adds whose operands lie in the caches.
constexpr int64_t kParallelMultiplyAdds = int64_t{1} << 22;

}  // namespace hdpo
