// The JSON header of a safetensors file. It is parsed strictly, as exactly the shape that the format allows
// and nothing else. The text may be hostile: every read is bounds-checked, and every number is checked for
// overflow.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hdpo {

struct SafetensorsHeader {
  struct Tensor {
    std::string name, dtype;
    std::vector<int64_t> shape;
    uint64_t begin = 0, end = 0;  // bytes, relative to the end of the header
  };
  std::vector<Tensor> tensors;  // in the order of the text; names are unique
  std::map<std::string, std::string> metadata;
};

// Says what is wrong and at which byte or in which tensor; the reader adds the path.
struct SafetensorsHeaderError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Checks everything that can be checked without the file: syntax, names, dtypes, and that a tensor's bytes
// fit its shape.
SafetensorsHeader parseSafetensorsHeader(std::string_view text);

std::string writeSafetensorsHeader(const SafetensorsHeader& header);  // unpadded

// Bytes of shape * dtype. Throws SafetensorsHeaderError for an unknown dtype, a negative dimension or
// overflow.
uint64_t safetensorsBytes(const std::string& dtype, const std::vector<int64_t>& shape);

}  // namespace hdpo
