#include "training/tensor_files.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/float_formats.h"

namespace hdpo {

namespace {

constexpr size_t kPiece = size_t{1} << 18;  // elements converted at a time

float widened(const std::string& dtype, const uint8_t* at) {
  if (dtype == "F32") {
    float value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  return dtype == "F16" ? fromHalf(bits) : fromBFloat16(bits);
}

bool sameType(DType stored, const std::string& dtype) { return dtype == safetensorsName(stored); }

}  // namespace

void refuseFile(const std::string& path, const std::string& reason) {
  throw Error("ERR_CHECKPOINT", path + ": " + reason);
}

std::string describeShape(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string listNames(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > kShown ? text + " and " + std::to_string(names.size() - kShown) + " more" : text;
}

void checkTensor(const SafetensorsEntry& found, const std::string& name, const std::vector<int64_t>& shape,
                 bool float32Only, const std::string& path) {
  const bool known =
      found.dtype == "F32" || (!float32Only && (found.dtype == "BF16" || found.dtype == "F16"));
  if (!known) {
    refuseFile(path, "tensor '" + name + "' has dtype " + found.dtype + "; allowed: F32" +
                         (float32Only ? "" : ", BF16, F16"));
  }
  if (found.shape != shape) {
    refuseFile(path, "tensor '" + name + "' has shape " + describeShape(found.shape) +
                         ", but the model needs " + describeShape(shape));
  }
}

void readTensor(Backend& backend, const Tensor& destination, const SafetensorsEntry& source) {
  char* to = static_cast<char*>(destination.data);
  if (sameType(destination.dtype, source.dtype)) return backend.copyFromHost(to, source.data, source.bytes);
  const size_t count = static_cast<size_t>(destination.count()), width = source.dtype == "F32" ? 4 : 2;
  std::vector<float> wide(std::min(kPiece, count));
  std::vector<uint16_t> narrow(destination.dtype == DType::BFloat16 ? wide.size() : 0);
  for (size_t begin = 0; begin < count; begin += kPiece) {
    const size_t size = std::min(kPiece, count - begin);
    for (size_t i = 0; i < size; ++i) wide[i] = widened(source.dtype, source.data + (begin + i) * width);
    if (destination.dtype == DType::Float32) {
      backend.copyFromHost(to + begin * 4, wide.data(), size * 4);
      continue;
    }
    for (size_t i = 0; i < size; ++i) narrow[i] = toBFloat16(wide[i]);
    backend.copyFromHost(to + begin * 2, narrow.data(), size * 2);
  }
}

void appendTensor(SafetensorsWriter& writer, Backend& backend, const Tensor& tensor, DType dtype) {
  const size_t count = static_cast<size_t>(tensor.count()), width = sizeOf(tensor.dtype);
  const char* from = static_cast<const char*>(tensor.data);
  std::vector<char> stored(std::min(kPiece, count) * width);
  std::vector<float> wide;
  std::vector<uint16_t> narrow;
  for (size_t begin = 0; begin < count; begin += kPiece) {
    const size_t size = std::min(kPiece, count - begin);
    backend.copyToHost(stored.data(), from + begin * width, size * width);
    if (tensor.dtype == dtype) {
      writer.append(stored.data(), size * width);
    } else if (dtype == DType::BFloat16) {
      const float* values = reinterpret_cast<const float*>(stored.data());
      narrow.resize(size);
      for (size_t i = 0; i < size; ++i) narrow[i] = toBFloat16(values[i]);
      writer.append(narrow.data(), size * 2);
    } else {
      const uint16_t* values = reinterpret_cast<const uint16_t*>(stored.data());
      wide.resize(size);
      for (size_t i = 0; i < size; ++i) wide[i] = fromBFloat16(values[i]);
      writer.append(wide.data(), size * 4);
    }
  }
}

}  // namespace hdpo
