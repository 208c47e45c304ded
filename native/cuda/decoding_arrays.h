// The arrays of a decoding step on the device, sent at its start with one copy; its ops find them by the
// address of the host's. Where each lies depends on the numbers of rows, frequencies and blocks a row alone,
// so that a recorded step reads the arrays of the step that replays it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/cached_attention.h"
#include "cuda/runtime.h"
#include "ops/buffer.h"

namespace hdpo::cuda {

// Block tables [count, stride], zeros behind a row's own blocks, and lengths [count].
void fillCachedRows(const CachedAttentionRow* rows, int64_t count, int64_t stride, int32_t* tables,
                    int32_t* lengths);
int64_t longestOf(const CachedAttentionRow* rows, int64_t count);
// Tiles of all runs of rows that are worth it.
std::vector<PrefillTile> prefillTiles(const CachedAttentionRow* rows, int64_t count);
// The numbers of rows that are in none of the tiles, and their longest.
struct SingleRows {
  std::vector<int32_t> numbers;
  int64_t longest = 0;
};
SingleRows singleRows(const CachedAttentionRow* rows, int64_t count, const std::vector<PrefillTile>& tiles);
int64_t tableStrideFor(int64_t longest);

class DecodingArrays {
 public:
  // Device memory is taken from the backend: one that counts releases learns of a change of places.
  DecodingArrays(Backend& backend, Stream stream) : backend_(backend), stream_(stream) {}
  ~DecodingArrays();
  DecodingArrays(const DecodingArrays&) = delete;
  DecodingArrays& operator=(const DecodingArrays&) = delete;

  // Sends the step's arrays, with block tables as wide as `longest` tokens need, at least its longest row's,
  // and its tiles. They are found until forget(). Throws ERR_OUT_OF_MEMORY.
  void send(const DecodingStep& step, int64_t longest, const std::vector<PrefillTile>& tiles);
  void forget() { places_.clear(), rowsSource_ = nullptr; }

  // Where a copy of `bytes` at the host's `source` lies; null: these are none of the step's arrays.
  const void* placeOf(const void* source, size_t bytes) const;
  // null: not the step's rows.
  const CachedRows* rowsOf(const CachedAttentionRow* source, int64_t count) const;

 private:
  struct Place {
    const void* source;
    size_t bytes, offset;
  };

  void reserve(size_t bytes);

  Backend& backend_;
  Stream stream_;
  Buffer device_;
  char* pinned_ = nullptr;
  size_t pinnedBytes_ = 0;
  Mark copied_;  // the last copy out of pinned memory
  std::vector<Place> places_;
  const CachedAttentionRow* rowsSource_ = nullptr;
  CachedRows rows_;
};

}  // namespace hdpo::cuda
