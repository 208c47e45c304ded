#include "cuda/decoding_arrays.h"

#include <algorithm>
#include <cstring>

namespace hdpo::cuda {

namespace {

constexpr size_t kFirstBytes = size_t{1} << 20;  // 256 rows of 16k tokens; growing drops what was recorded
constexpr size_t kAlignment = 16;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t bytesOf(int64_t integers) { return static_cast<size_t>(integers) * sizeof(int32_t); }

}  // namespace

DecodingArrays::~DecodingArrays() {
  if (pinned_) releasePinned(pinned_);
}

void DecodingArrays::reserve(size_t bytes) {
  if (bytes > pinnedBytes_) {
    const size_t grown = std::max({bytes, 2 * pinnedBytes_, kFirstBytes});
    copied_.wait();
    if (pinned_) releasePinned(pinned_);
    pinned_ = nullptr;
    pinnedBytes_ = 0;
    pinned_ = static_cast<char*>(allocatePinned(grown));
    pinnedBytes_ = grown;
  }
  device_.reserve(backend_, pinnedBytes_);
}

void DecodingArrays::send(const DecodingStep& step, const StepRows& rows) {
  forget();
  const size_t rowBytes = bytesOf(step.rows), frequencyBytes = bytesOf(step.frequencies);
  std::vector<Staging::Piece> pieces = {
      {step.inverseFrequencies, frequencyBytes}, {step.tokens, rowBytes}, {step.positions, rowBytes}};
  const size_t named = pieces.size();  // those that ops look for
  const auto ofRows = rows.pieces();
  pieces.insert(pieces.end(), ofRows.begin(), ofRows.end());
  size_t bytes = 0;
  for (const Staging::Piece& piece : pieces) bytes += aligned(piece.bytes);
  reserve(bytes);
  copied_.wait();
  size_t offset = 0;
  std::vector<const void*> device;
  for (const Staging::Piece& piece : pieces) {
    if (piece.bytes > 0) std::memcpy(pinned_ + offset, piece.source, piece.bytes);
    if (device.size() < named) places_.push_back({piece.source, piece.bytes, offset});
    device.push_back(static_cast<const char*>(device_.data()) + offset);
    offset += aligned(piece.bytes);
  }
  copyToDeviceLater(stream_, device_.data(), pinned_, bytes);
  copied_.set(stream_);
  rows_ = rows.on({device.begin() + static_cast<int64_t>(named), device.end()});
  rowsSource_ = step.cached;
}

const void* DecodingArrays::placeOf(const void* source, size_t bytes) const {
  for (const Place& place : places_) {
    if (place.source == source && bytes <= place.bytes)
      return static_cast<const char*>(device_.data()) + place.offset;
  }
  return nullptr;
}

const CachedRows* DecodingArrays::rowsOf(const CachedAttentionRow* source, int64_t count) const {
  return rowsSource_ && rowsSource_ == source && count == rows_.rows ? &rows_ : nullptr;
}

}  // namespace hdpo::cuda
