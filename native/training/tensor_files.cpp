#include "training/tensor_files.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "core/float_formats.h"

namespace hdpo {

namespace {

constexpr size_t kPiece = size_t{1} << 18;  // elements moved at a time

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

size_t widthOf(const std::string& dtype) { return dtype == "F32" ? 4 : 2; }

// The largest value without its sign, as bits: they have the order of the magnitudes, and infinity and NaN are
// above all numbers.
template <class Bits>
uint32_t largestMagnitude(const uint8_t* values, size_t count) {
  constexpr Bits magnitude = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1);
  Bits largest = 0;
  for (size_t i = 0; i < count; ++i) {
    Bits bits = 0;
    std::memcpy(&bits, values + i * sizeof(Bits), sizeof bits);
    largest = std::max(largest, static_cast<Bits>(bits & magnitude));
  }
  return largest;
}

// The bits of the smallest magnitude of the file's format that is not finite once it is stored as `to`.
uint32_t smallestNonFinite(const std::string& from, DType to) {
  if (from == "F16") return 0x7C00;
  if (from == "BF16") return 0x7F80;
  return to == DType::BFloat16 ? 0x7F7F8000 : 0x7F800000;  // the half-way value rounds to infinity
}

std::string describeValue(float value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
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

void requireFinite(const StoredTensor& source, DType dtype) {
  const size_t width = widthOf(source.entry.dtype);
  const uint32_t limit = smallestNonFinite(source.entry.dtype, dtype);
  std::vector<uint8_t> piece(std::min(kPiece * width, source.entry.bytes));
  for (size_t begin = 0; begin < source.entry.bytes; begin += piece.size()) {
    const size_t bytes = std::min(piece.size(), source.entry.bytes - begin);
    source.file.read(source.entry, begin, bytes, piece.data());
    const size_t count = bytes / width;
    if ((width == 4 ? largestMagnitude<uint32_t>(piece.data(), count)
                    : largestMagnitude<uint16_t>(piece.data(), count)) < limit) {
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      const float value = widened(source.entry.dtype, piece.data() + i * width);
      if (std::isfinite(value) && (dtype == DType::Float32 || std::isfinite(fromBFloat16(toBFloat16(value)))))
        continue;
      refuseFile(source.file.path(), "tensor '" + source.name + "' holds " + describeValue(value) +
                                         " at element " + std::to_string(begin / width + i) +
                                         "; all values must be finite" +
                                         (std::isfinite(value) ? " in bfloat16" : ""));
    }
  }
}

void readTensor(Backend& backend, const Tensor& destination, const StoredTensor& source) {
  char* to = static_cast<char*>(destination.data);
  const std::string& dtype = source.entry.dtype;
  const size_t count = static_cast<size_t>(destination.count()), width = widthOf(dtype);
  std::vector<uint8_t> piece(std::min(kPiece, count) * width);
  std::vector<float> wide(sameType(destination.dtype, dtype) ? 0 : std::min(kPiece, count));
  std::vector<uint16_t> narrow(destination.dtype == DType::BFloat16 ? wide.size() : 0);
  for (size_t begin = 0; begin < count; begin += kPiece) {
    const size_t size = std::min(kPiece, count - begin);
    source.file.read(source.entry, begin * width, size * width, piece.data());
    if (wide.empty()) {
      backend.copyFromHost(to + begin * width, piece.data(), size * width);
      continue;
    }
    for (size_t i = 0; i < size; ++i) wide[i] = widened(dtype, piece.data() + i * width);
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
