// Finds stop strings in the bytes of sampled tokens, across token boundaries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace hdpo {

class StopStrings {
 public:
  // Adds a token's bytes. Returns the index in `stops` of the string that ends first in them (the lowest
  // index where several end there), or -1.
  int32_t feed(const std::vector<std::string>& stops, const std::string& bytes) {
    if (stops.empty()) return -1;
    tail_ += bytes;
    int32_t found = -1;
    size_t foundEnd = std::string::npos, longest = 0;
    for (size_t i = 0; i < stops.size(); ++i) {
      longest = std::max(longest, stops[i].size());
      const size_t begin = tail_.find(stops[i]);
      if (begin == std::string::npos || begin + stops[i].size() >= foundEnd) continue;
      foundEnd = begin + stops[i].size();
      found = static_cast<int32_t>(i);
    }
    if (tail_.size() >= longest) tail_.erase(0, tail_.size() - (longest - 1));
    return found;
  }

 private:
  std::string tail_;  // the last bytes, one fewer than the longest stop string
};

}  // namespace hdpo
