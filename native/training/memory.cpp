#include "training/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>

#include "core/error.h"

namespace hdpo {

namespace {

constexpr size_t kUnknown = std::numeric_limits<size_t>::max();

// Reads the number after `key` in a file of "key value" or "key: value kB" lines.
size_t fieldOf(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string name;
  uint64_t value = 0;
  while (file >> name) {
    if (name == key && file >> value) return static_cast<size_t>(value);
    file.clear();
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kUnknown;
}

// Reads the single number of a file: kUnknown for "max" and where there is no such file.
size_t numberIn(const char* path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? static_cast<size_t>(value) : kUnknown;
}

// What a limited control group (a container) has left. Pages of files that it could drop count as free.
size_t leftInGroup(size_t limit, size_t used, size_t droppable) {
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  const size_t held = used - std::min(used, droppable == kUnknown ? 0 : droppable);
  return limit - std::min(limit, held);
}

}  // namespace

size_t availableMemory() {
  const size_t kilobytes = fieldOf("/proc/meminfo", "MemAvailable:");
  const size_t system = kilobytes == kUnknown ? kUnknown : kilobytes * 1024;
  const size_t group =
      leftInGroup(numberIn("/sys/fs/cgroup/memory.max"), numberIn("/sys/fs/cgroup/memory.current"),
                  fieldOf("/sys/fs/cgroup/memory.stat", "inactive_file"));
  const size_t older = leftInGroup(numberIn("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
                                   numberIn("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
                                   fieldOf("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"));
  return std::min({system, group, older});
}

size_t residentMemory() {
  const size_t kilobytes = fieldOf("/proc/self/status", "VmRSS:");
  return kilobytes == kUnknown ? 0 : kilobytes * 1024;
}

std::string describeBytes(size_t bytes) {
  const bool large = bytes >= 1'000'000'000;
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %s", static_cast<double>(bytes) / (large ? 1e9 : 1e6),
                large ? "GB" : "MB");
  return text;
}

namespace {

void requireAvailable(size_t available, size_t bytes, const std::string& purpose, const std::string& remedy) {
  require(bytes <= available, "ERR_MEMORY",
          purpose + " needs " + describeBytes(bytes) + ", but " + describeBytes(available) +
              " is available; " + remedy);
}

}  // namespace

void requireMemory(size_t bytes, const std::string& purpose, const std::string& remedy) {
  requireAvailable(availableMemory(), bytes, purpose, remedy);
}

size_t availableMemory(Backend& backend) {
  const std::optional<size_t> device = backend.availableBytes();
  return device ? *device : availableMemory();
}

void requireMemory(Backend& backend, size_t bytes, const std::string& purpose, const std::string& remedy) {
  requireAvailable(availableMemory(backend), bytes, purpose, remedy);
}

}  // namespace hdpo
