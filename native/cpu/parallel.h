// From which size on an op is shared by several threads; a smaller one runs on the calling thread. No result
// depends on it.
//
// Waking a thread that sleeps between ops (thread_waiting.h) takes 30 to 60 microseconds in a virtual
// machine; one that spins takes up work within a few. The limits below are about as much work for one core:
// 50 microseconds, or 10.
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/vector.h"

namespace hdpo {

// Whether the threads spin now; thread_waiting.cpp says so.
extern std::atomic<bool> threadsSpin;

// Elements touched.
inline int64_t parallelElements() { return int64_t{1} << (threadsSpin ? 15 : 17); }
// Multiply-adds whose operands lie in the caches.
inline int64_t parallelMultiplyAdds() { return kLanes << (threadsSpin ? 17 : 18); }
// Weights of two bytes that come from memory, not from the caches.
inline int64_t parallelWeights() { return int64_t{1} << (threadsSpin ? 17 : 19); }
// Key elements written to a cache; they are scattered, one cache line each.
inline int64_t parallelKeyElements() { return int64_t{1} << (threadsSpin ? 13 : 15); }

}  // namespace hdpo
