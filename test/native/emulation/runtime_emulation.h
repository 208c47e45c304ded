// What tests ask of the emulated device's memory.
#pragma once

#include <cstddef>

namespace hdpo::emulation {

void setDeviceMemory(size_t bytes);
size_t deviceAllocations();
// Copies from pinned memory that have been queued: every kernel launch runs them first, as a stream would.
void runLateCopies();

}  // namespace hdpo::emulation
