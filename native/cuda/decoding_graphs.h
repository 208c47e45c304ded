// Decoding steps that have been recorded, each to be launched with one call. A graph has the addresses of
// all memory that its step uses: it is dropped when memory is released that was there when it was recorded.
#pragma once

#include <compare>
#include <cstdint>
#include <map>

#include "cuda/runtime.h"

namespace hdpo::cuda {

// Whether HDPO_CUDA_GRAPHS, as the environment has it (may be null), turns them on. ERR_ARGUMENT: it is
// neither "on" nor "off".
bool graphsWanted(const char* setting);

// Rounded up: `rows`, and the stretches of kCachedStretch tokens of the longest, are powers of two.
struct DecodingKey {
  const void* decoder;
  const void* cache;
  int64_t variant, rows, stretches;
  auto operator<=>(const DecodingKey&) const = default;
};

class DecodingGraphs {
 public:
  // Memory is known by its number: the first that was allocated is 1.
  struct Entry {
    uint64_t newestMemory = 0;  // when the step ran
    Graph graph;                // null: it has run once, and all that it allocates is there
  };

  Entry* find(const DecodingKey& key);  // null: not seen since its memory changed
  void add(const DecodingKey& key, uint64_t newestMemory) { entries_[key].newestMemory = newestMemory; }
  void released(uint64_t memory) noexcept;
  void clear() noexcept { entries_.clear(); }
  size_t size() const { return entries_.size(); }

 private:
  std::map<DecodingKey, Entry> entries_;
};

}  // namespace hdpo::cuda
