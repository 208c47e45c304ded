// Moves tensors between a backend's memory and safetensors files in pieces, converting on the way.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "io/safetensors.h"
#include "ops/backend.h"

namespace hdpo {

[[noreturn]] void refuseFile(const std::string& path, const std::string& reason);  // ERR_CHECKPOINT

std::string describeShape(const std::vector<int64_t>& shape);
// Lists at most the first few of many names, so that a wrong file gives a message and not a page.
std::string listNames(const std::vector<std::string>& names);

// Checks dtype (F32, or also BF16 and F16) and shape; throws ERR_CHECKPOINT naming the tensor.
void checkTensor(const SafetensorsEntry& found, const std::string& name, const std::vector<int64_t>& shape,
                 bool float32Only, const std::string& path);

// A tensor in a file.
struct StoredTensor {
  const SafetensorsFile& file;
  const std::string& name;
  const SafetensorsEntry& entry;
};

// Reads all values and throws ERR_CHECKPOINT, naming the tensor and the place, where one is NaN or infinite, or
// would become infinite as `dtype`.
void requireFinite(const StoredTensor& source, DType dtype);
void readTensor(Backend& backend, const Tensor& destination, const StoredTensor& source);

// What a load throws that failed after it had begun to change what it loads into: half of one file and half of
// another, with which nothing may be computed.
struct PartlyLoaded : Error {
  using Error::Error;
};

// Appends the tensor as `dtype`, "F32" or "BF16".
void appendTensor(SafetensorsWriter& writer, Backend& backend, const Tensor& tensor, DType dtype);

constexpr const char* safetensorsName(DType dtype) { return dtype == DType::BFloat16 ? "BF16" : "F32"; }

}  // namespace hdpo
