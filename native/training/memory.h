// How much memory the system has left for this process.
#pragma once

#include <cstddef>
#include <string>

#include "ops/backend.h"

namespace hdpo {

// Bytes that can be allocated without swapping: the smaller of the system's estimate (MemAvailable) and what
// the process's control group leaves. The largest size_t where the system does not say.
size_t availableMemory();
// Bytes of this process that are in memory now; 0 where the system does not say.
size_t residentMemory();

std::string describeBytes(size_t bytes);  // "1.25 GB"

// Throws ERR_MEMORY: "PURPOSE needs ... but ... is available; REMEDY".
void requireMemory(size_t bytes, const std::string& purpose, const std::string& remedy);

// The same for a backend's memory.
size_t availableMemory(Backend& backend);
void requireMemory(Backend& backend, size_t bytes, const std::string& purpose, const std::string& remedy);

}  // namespace hdpo
