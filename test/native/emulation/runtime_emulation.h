// What tests ask of the emulated device's memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hdpo::emulation {

void setDeviceMemory(size_t bytes);
size_t deviceAllocations();
// Copies from pinned memory that have been queued: every kernel launch runs them first, as a stream would.
void runLateCopies();

// Graphs that exist, and launches of graphs so far.
int64_t graphs();
uint64_t graphLaunches();

}  // namespace hdpo::emulation
