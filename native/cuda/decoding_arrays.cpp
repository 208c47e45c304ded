#include "cuda/decoding_arrays.h"

#include <algorithm>
#include <cstring>

namespace hdpo::cuda {

namespace {

constexpr size_t kFirstBytes = size_t{1} << 20;  // growing drops what was recorded: 256 rows of 16k tokens
constexpr size_t kAlignment = 16;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t bytesOf(int64_t integers) { return static_cast<size_t>(integers) * sizeof(int32_t); }

}  // namespace

int64_t tableStrideFor(int64_t longest) { return (longest + kvBlockTokens - 1) / kvBlockTokens; }

int64_t longestOf(const CachedAttentionRow* rows, int64_t count) {
  int64_t longest = 0;
  for (int64_t r = 0; r < count; ++r) longest = std::max<int64_t>(longest, rows[r].length);
  return longest;
}

// Fewer rows of a sequence read its keys again and again as fast as a tile would be filled. Not timed.
constexpr int64_t kLeastRun = 8;

std::vector<PrefillTile> prefillTiles(const CachedAttentionRow* rows, int64_t count) {
  std::vector<PrefillTile> tiles;
  for (int64_t begin = 0, end = 0; begin < count; begin = end) {
    const auto continues = [&](int64_t r) {
      return rows[r].blocks == rows[begin].blocks && rows[r].length == rows[begin].length + (r - begin);
    };
    for (end = begin + 1; end < count && continues(end); ++end) {
    }
    if (rows[begin].length == 0 || end - begin < kLeastRun) continue;
    for (int64_t first = begin; first < end; first += kPrefillRows) {
      tiles.push_back({static_cast<int32_t>(first), rows[first].length - 1,
                       static_cast<int32_t>(std::min<int64_t>(kPrefillRows, end - first))});
    }
  }
  return tiles;
}

void fillCachedRows(const CachedAttentionRow* rows, int64_t count, int64_t stride, int32_t* tables,
                    int32_t* lengths) {
  for (int64_t r = 0; r < count; ++r) {
    lengths[r] = rows[r].length;
    int32_t* table = tables + r * stride;
    const int64_t blocks = tableStrideFor(rows[r].length);
    std::copy_n(rows[r].blocks, blocks, table);
    std::fill(table + blocks, table + stride, 0);
  }
}

SingleRows singleRows(const CachedAttentionRow* rows, int64_t count, const std::vector<PrefillTile>& tiles) {
  SingleRows singles;
  size_t tile = 0;  // the first that does not end before this row
  for (int64_t r = 0; r < count; ++r) {
    while (tile < tiles.size() && tiles[tile].firstRow + tiles[tile].rows <= r) ++tile;
    const bool tiled = tile < tiles.size() && tiles[tile].firstRow <= r;
    if (tiled || rows[r].length == 0) continue;
    singles.numbers.push_back(static_cast<int32_t>(r));
    singles.longest = std::max<int64_t>(singles.longest, rows[r].length);
  }
  return singles;
}

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

void DecodingArrays::send(const DecodingStep& step, int64_t longest, const std::vector<PrefillTile>& tiles) {
  forget();
  const int64_t stride = tableStrideFor(longest);
  size_t bytes = 0;
  const auto place = [&bytes](size_t size) {
    const size_t offset = bytes;
    bytes += aligned(size);
    return offset;
  };
  const size_t rowBytes = bytesOf(step.rows), frequencyBytes = bytesOf(step.frequencies);
  const size_t frequencies = place(frequencyBytes), tokens = place(rowBytes), positions = place(rowBytes),
               lengths = place(rowBytes), tables = place(bytesOf(step.rows * stride));
  const SingleRows singles = tiles.empty() ? SingleRows() : singleRows(step.cached, step.rows, tiles);
  const size_t tileBytes = tiles.size() * sizeof(PrefillTile),
               singleBytes = singles.numbers.size() * sizeof(int32_t);
  const size_t singlePlace = place(singleBytes), tilePlace = place(tileBytes);
  reserve(bytes);
  copied_.wait();
  std::memcpy(pinned_ + frequencies, step.inverseFrequencies, frequencyBytes);
  std::memcpy(pinned_ + tokens, step.tokens, rowBytes);
  std::memcpy(pinned_ + positions, step.positions, rowBytes);
  fillCachedRows(step.cached, step.rows, stride, reinterpret_cast<int32_t*>(pinned_ + tables),
                 reinterpret_cast<int32_t*>(pinned_ + lengths));
  if (singleBytes > 0) std::memcpy(pinned_ + singlePlace, singles.numbers.data(), singleBytes);
  if (tileBytes > 0) std::memcpy(pinned_ + tilePlace, tiles.data(), tileBytes);
  copyToDeviceLater(stream_, device_.data(), pinned_, bytes);
  copied_.set(stream_);
  places_ = {{step.inverseFrequencies, frequencyBytes, frequencies},
             {step.tokens, rowBytes, tokens},
             {step.positions, rowBytes, positions}};
  const char* device = static_cast<const char*>(device_.data());
  rows_ = {step.rows, reinterpret_cast<const int32_t*>(device + tables), stride,
           reinterpret_cast<const int32_t*>(device + lengths), longest};
  if (!tiles.empty()) {
    rows_.tiles = reinterpret_cast<const PrefillTile*>(device + tilePlace);
    rows_.tileCount = static_cast<int64_t>(tiles.size());
    rows_.singles = reinterpret_cast<const int32_t*>(device + singlePlace);
    rows_.singleCount = static_cast<int64_t>(singles.numbers.size());
    rows_.longestSingle = singles.longest;
  }
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
