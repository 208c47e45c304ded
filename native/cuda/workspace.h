// Cuts one piece of device memory into aligned parts. Without memory it only counts: the same calls that hand
// out the parts say how many bytes they need.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hdpo::cuda {

class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(void* memory) : memory_(static_cast<char*>(memory)) {}

  template <typename T>
  T* take(int64_t count) {
    char* part = memory_ ? memory_ + bytes_ : nullptr;
    bytes_ += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(part);
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kAlignment = 256;
  char* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace hdpo::cuda
