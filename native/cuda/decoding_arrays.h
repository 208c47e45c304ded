// The arrays of a decoding step on the device, sent at its start with one copy. The step's ops find them by
// their address on the host. Where each lies depends only on the numbers of rows, of frequencies and of
// blocks per row, so that a recorded step reads the arrays of the step that replays it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/runtime.h"
#include "cuda/step_rows.h"
#include "ops/buffer.h"

namespace hdpo::cuda {

class DecodingArrays {
 public:
  // Device memory is taken from the backend, which counts releases and so learns when the arrays move.
  DecodingArrays(Backend& backend, Stream stream) : backend_(backend), stream_(stream) {}
  ~DecodingArrays();
  DecodingArrays(const DecodingArrays&) = delete;
  DecodingArrays& operator=(const DecodingArrays&) = delete;

  // Sends the step's arrays and the tables made of its rows, which are found until forget(). Throws
  // ERR_OUT_OF_MEMORY.
  void send(const DecodingStep& step, const StepRows& rows);
  void forget() { places_.clear(), rowsSource_ = nullptr; }

  // Where a copy of `bytes` at the host's `source` lies; null where that is none of the step's arrays.
  const void* placeOf(const void* source, size_t bytes) const;
  // Null where these are not the step's rows.
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
