// When an op is worth several threads.
#pragma once

#include <cstdint>

namespace hdpo {

// An op that touches fewer elements runs on the calling thread: waking the others costs microseconds, in
// which one core streams about this many floats.
constexpr int64_t kParallelElements = int64_t{1} << 15;

}  // namespace hdpo
