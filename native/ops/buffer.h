// Owning device memory: allocated by a backend, released with the buffer. Grows, never shrinks: workspaces
// keep the size of the largest batch they have seen.
#pragma once

#include <utility>

#include "core/tensor.h"
#include "ops/backend.h"

namespace hdpo {

class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, size_t bytes) { reserve(backend, bytes); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data_) backend_->release(data_);
  }

  // Ensures at least `bytes`; the content is undefined after a growth. Throws ERR_OUT_OF_MEMORY.
  void reserve(Backend& backend, size_t bytes) {
    if (bytes <= bytes_) return;
    if (data_) backend_->release(data_);
    data_ = nullptr;
    bytes_ = 0;
    data_ = backend.allocate(bytes);
    backend_ = &backend;
    bytes_ = bytes;
  }
  // A tensor like `shape`, whose own data do not count, in this memory, grown to hold it.
  Tensor holding(Backend& backend, Tensor shape) {
    reserve(backend, shape.bytes());
    shape.data = data_;
    return shape;
  }
  void* data() const { return data_; }
  float* f32() const { return static_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace hdpo
