// Optimiser state in a safetensors file. Loading checks the whole file first, and changes nothing when it
// refuses (ERR_CHECKPOINT, naming the file and the tensor).
#pragma once

#include <string>

#include "model/parameter_set.h"

namespace hdpo {

// The file has "momentum" and "variance", flat in the order of the trained parameters' entries; its metadata
// holds the step and a fingerprint of that layout.
void saveOptimizer(const ParameterSet& momentum, const ParameterSet& variance, int64_t step,
                   const std::string& path);
int64_t loadOptimizer(ParameterSet& momentum, ParameterSet& variance, const std::string& path);  // the step

}  // namespace hdpo
