// Arrays of the host that an op takes and gives, in device memory for the time of a call.
#pragma once

#include <vector>

#include "ops/buffer.h"

namespace hdpo::cuda {

class DeviceArrays {
 public:
  explicit DeviceArrays(Backend& backend) : backend_(backend) {}

  template <class Element>
  Element* make(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(Element);
    memory_.emplace_back(backend_, bytes > 0 ? bytes : 1);
    return static_cast<Element*>(memory_.back().data());
  }
  // null stays null.
  template <class Element>
  const Element* copyOf(const Element* host, int64_t count) {
    if (!host) return nullptr;
    Element* device = make<Element>(count);
    backend_.copyFromHost(device, host, static_cast<size_t>(count) * sizeof(Element));
    return device;
  }
  template <class Element>
  void download(Element* host, const Element* device, int64_t count) {
    if (host) backend_.copyToHost(host, device, static_cast<size_t>(count) * sizeof(Element));
  }

 private:
  Backend& backend_;
  std::vector<Buffer> memory_;
};

}  // namespace hdpo::cuda
