// Recorded decoding steps, each launched with one call. A graph holds the addresses of all memory that its
// step uses, so it is dropped when memory is released that existed when it was recorded.
#pragma once

#include <compare>
#include <cstdint>
#include <map>

#include "cuda/runtime.h"

namespace hdpo::cuda {

// Whether HDPO_CUDA_GRAPHS, as the environment has it (may be null), turns graphs on. Throws ERR_ARGUMENT
// where it is neither "on" nor "off".
bool graphsWanted(const char* setting);

// `rows`, and `stretches` (of kCachedStretch tokens, in the longest row), are rounded up to powers of two.
struct DecodingKey {
  const void* decoder;
  const void* cache;
  int64_t variant, rows, stretches;
  auto operator<=>(const DecodingKey&) const = default;
};

class DecodingGraphs {
 public:
  // Memory is known by its number; the first that was allocated is 1.
  struct Entry {
    uint64_t newestMemory = 0;  // when the step ran
    Graph graph;                // null: the step has run once, and all that it allocates is there
  };

  Entry* find(const DecodingKey& key);  // null where not seen since its memory changed
  void add(const DecodingKey& key, uint64_t newestMemory) { entries_[key].newestMemory = newestMemory; }
  void released(uint64_t memory) noexcept;
  void clear() noexcept { entries_.clear(); }
  size_t size() const { return entries_.size(); }

 private:
  std::map<DecodingKey, Entry> entries_;
};

}  // namespace hdpo::cuda
