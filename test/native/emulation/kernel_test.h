// What tests of single kernels share: random values, and their conversion to an element type and back.
#pragma once

#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include "core/float_formats.h"
#include "core/random.h"
#include "cuda/element.h"
#include "reference_backend.h"

namespace hdpo {

using Values = std::vector<float>;

inline Values randomValues(int64_t count, uint64_t stream, float scale = 1, uint64_t seed = 1) {
  Values result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(scale * normal(seed, stream, static_cast<uint64_t>(i)));
  return result;
}

template <typename T>
std::vector<T> toType(const Values& values) {
  std::vector<T> result;
  for (const float value : values) result.push_back(cuda::fromFloat<T>(value));
  return result;
}
template <typename T>
Values toFloats(const std::vector<T>& values) {
  Values result;
  for (const T value : values) result.push_back(cuda::toFloat(value));
  return result;
}
// Rounds values as storing them in the type does.
template <typename T>
Values rounded(const Values& values) {
  return toFloats(toType<T>(values));
}

// The largest difference, as a share of the largest value; huge where one is NaN and the other is not.
inline double relativeDifference(const Values& found, const Values& expected) {
  double difference = 0, size = 1e-30;
  if (found.size() != expected.size()) return 1e30;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(found[i]) != std::isnan(expected[i])) return 1e30;
    difference = std::max(difference, std::abs(double{found[i]} - expected[i]));
    size = std::max(size, std::abs(double{expected[i]}));
  }
  return difference / size;
}

// A tensor over values that an op only reads.
inline Tensor view(const Values& values, std::initializer_list<int64_t> shape) {
  return Tensor(const_cast<float*>(values.data()), shape);
}

// Device memory, poisoned, and aligned as a device's is.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : memory_(bytes + kAlignment, '\xff') {}
  void* data() {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    return reinterpret_cast<void*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }

 private:
  static constexpr size_t kAlignment = 256;
  std::vector<char> memory_;
};

}  // namespace hdpo
