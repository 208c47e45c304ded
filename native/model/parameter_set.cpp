#include "model/parameter_set.h"

#include <algorithm>

#include "core/error.h"
#include "core/float_formats.h"

namespace hdpo {

void ParameterLayout::append(const std::string& name, std::vector<int64_t> shape, bool decays) {
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  entries_.push_back({name, std::move(shape), offset_, count, decays});
  offset_ += count;
}

int64_t parameterCount(const std::vector<ParameterEntry>& entries) {
  return entries.empty() ? 0 : entries.back().offset + entries.back().count;
}

size_t parameterBytes(const std::vector<ParameterEntry>& entries, DType matrices) {
  size_t bytes = 0;
  for (const ParameterEntry& entry : entries) {
    bytes += static_cast<size_t>(entry.count) * (entry.decays ? sizeOf(matrices) : sizeof(float));
  }
  return bytes;
}

ParameterSet::ParameterSet(Backend& backend, std::vector<ParameterEntry> entries, DType matrices)
    : backend_(backend),
      entries_(std::move(entries)),
      precision_(matrices),
      count_(parameterCount(entries_)) {
  size_t matrixBytes = 0, vectorBytes = 0;
  for (const ParameterEntry& entry : entries_) {
    const bool inMatrices = entry.decays || precision_ == DType::Float32;
    size_t& used = inMatrices ? matrixBytes : vectorBytes;
    addresses_.push_back(used);
    used += static_cast<size_t>(entry.count) * (inMatrices ? sizeOf(precision_) : sizeof(float));
  }
  matrices_.reserve(backend_, matrixBytes);
  vectors_.reserve(backend_, vectorBytes);
  zero();
}

Tensor ParameterSet::flat() const {
  require(precision_ == DType::Float32, "ERR_STATE", "parameters in bfloat16 do not lie in one flat tensor");
  return Tensor(matrices_.f32(), {count_});
}

Tensor ParameterSet::view(const ParameterEntry& entry) const {
  const size_t index = static_cast<size_t>(&entry - entries_.data());
  require(index < entries_.size(), "ERR_INTERNAL", "an entry of other parameters");
  const bool inMatrices = entry.decays || precision_ == DType::Float32;
  const DType type = entry.decays ? precision_ : DType::Float32;
  char* data = static_cast<char*>(inMatrices ? matrices_.data() : vectors_.data()) + addresses_[index];
  return entry.shape.size() == 1 ? Tensor(data, type, {entry.shape[0]})
                                 : Tensor(data, type, {entry.shape[0], entry.shape[1]});
}

void ParameterSet::zero() {
  if (matrices_.bytes() > 0) backend_.zero(matrices_.data(), matrices_.bytes());
  if (vectors_.bytes() > 0) backend_.zero(vectors_.data(), vectors_.bytes());
}

void ParameterSet::copyFrom(const ParameterSet& other) {
  require(other.count_ == count_ && other.entries_.size() == entries_.size(), "ERR_SHAPE",
          "copyFrom needs parameters of the same model: " + std::to_string(count_) + " values here, " +
              std::to_string(other.count_) + " there");
  const bool sameBackend = &backend_ == &other.backend_;
  std::vector<char> staging;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Tensor to = view(entries_[i]), from = other.view(other.entries_[i]);
    if (sameBackend && to.dtype != from.dtype) {
      backend_.convert(to, from);
      continue;
    }
    require(to.dtype == from.dtype, "ERR_INTERNAL", "copyFrom converts inside one backend alone");
    // Values go by way of the host, because the two sets may live in different backends.
    staging.resize(to.bytes());
    other.backend_.copyToHost(staging.data(), from.data, from.bytes());
    backend_.copyFromHost(to.data, staging.data(), to.bytes());
  }
}

void ParameterSet::write(const ParameterEntry& entry, const float* values) {
  const Tensor to = view(entry);
  if (to.dtype == DType::Float32) return backend_.copyFromHost(to.data, values, to.bytes());
  std::vector<uint16_t> rounded(static_cast<size_t>(entry.count));
  for (size_t i = 0; i < rounded.size(); ++i) rounded[i] = toBFloat16(values[i]);
  backend_.copyFromHost(to.data, rounded.data(), to.bytes());
}

ParameterSet::Cursor::Cursor(const ParameterSet& set)
    : precision_(set.precision_),
      matrices_(static_cast<char*>(set.matrices_.data())),
      vectors_(static_cast<char*>(set.vectors_.data())) {}

Tensor ParameterSet::Cursor::matrix(int64_t rows, int64_t columns) {
  const Tensor view(matrices_, precision_, {rows, columns});
  matrices_ += view.bytes();
  return view;
}

Tensor ParameterSet::Cursor::vector(int64_t count) {
  char*& position = precision_ == DType::Float32 ? matrices_ : vectors_;
  const Tensor view(position, DType::Float32, {count});
  position += view.bytes();
  return view;
}

}  // namespace hdpo
