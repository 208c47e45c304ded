#include "cuda/decoding_graphs.h"

#include <string>

#include "core/error.h"

namespace hdpo::cuda {

bool graphsWanted(const char* setting) {
  const std::string value = setting ? setting : "";
  require(value.empty() || value == "on" || value == "off", "ERR_ARGUMENT",
          "HDPO_CUDA_GRAPHS must be on or off, got '" + value + "'");
  return value != "off";
}

DecodingGraphs::Entry* DecodingGraphs::find(const DecodingKey& key) {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void DecodingGraphs::released(uint64_t memory) noexcept {
  std::erase_if(entries_, [memory](const auto& entry) { return entry.second.newestMemory >= memory; });
}

}  // namespace hdpo::cuda
