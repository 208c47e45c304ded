// A tensor is a view (pointer, dtype, shape), always contiguous and row-major. It owns nothing (see
// ops/buffer.h).
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace hdpo {

enum class DType : uint8_t { Float32, BFloat16, Int32 };

constexpr size_t sizeOf(DType dtype) { return dtype == DType::BFloat16 ? 2 : 4; }

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::Float32;
  int rank = 0;
  std::array<int64_t, 4> shape{};

  Tensor() = default;
  Tensor(void* pointer, DType type, std::initializer_list<int64_t> dimensions) : data(pointer), dtype(type) {
    assert(dimensions.size() <= 4);
    for (int64_t dimension : dimensions) shape[rank++] = dimension;
  }
  Tensor(float* pointer, std::initializer_list<int64_t> dimensions)
      : Tensor(pointer, DType::Float32, dimensions) {}

  explicit operator bool() const { return data != nullptr; }
  float* f32() const {
    assert(dtype == DType::Float32);
    return static_cast<float*>(data);
  }
  uint16_t* bf16() const {  // the bits
    assert(dtype == DType::BFloat16);
    return static_cast<uint16_t*>(data);
  }
  int64_t count() const {
    int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= shape[i];
    return product;
  }
  size_t bytes() const { return static_cast<size_t>(count()) * sizeOf(dtype); }
  // Rows [begin, end) of the first dimension.
  Tensor rows(int64_t begin, int64_t end) const {
    assert(rank > 0 && 0 <= begin && begin <= end && end <= shape[0]);
    Tensor view = *this;
    view.shape[0] = end - begin;
    const size_t rowBytes = shape[0] == 0 ? 0 : bytes() / static_cast<size_t>(shape[0]);
    view.data = static_cast<char*>(data) + static_cast<size_t>(begin) * rowBytes;
    return view;
  }
  Tensor reshaped(std::initializer_list<int64_t> dimensions) const {
    Tensor view(data, dtype, dimensions);
    assert(view.count() == count());
    return view;
  }
};

}  // namespace hdpo
