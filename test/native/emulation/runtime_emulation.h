// What tests can ask about the emulated device's memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hdpo::emulation {

void setDeviceMemory(size_t bytes);
size_t deviceAllocations();
// Runs the copies from pinned memory that have been queued, as every kernel launch does first and a stream
// would.
void runLateCopies();

// How many graphs exist, and how many launches of graphs there have been.
int64_t graphs();
uint64_t graphLaunches();

}  // namespace hdpo::emulation
