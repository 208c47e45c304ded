// The arrays of a decoding step on the device, sent at its start with one copy; its ops find them by the
// address of the host's. Where each lies depends on the numbers of rows, frequencies and blocks a row alone,
// so that a recorded step reads the arrays of the step that replays it.
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
  // Device memory is taken from the backend: one that counts releases learns of a change of places.
  DecodingArrays(Backend& backend, Stream stream) : backend_(backend), stream_(stream) {}
  ~DecodingArrays();
  DecodingArrays(const DecodingArrays&) = delete;
  DecodingArrays& operator=(const DecodingArrays&) = delete;

  // Sends the step's arrays and what its rows have become. They are found until forget(). Throws
  // ERR_OUT_OF_MEMORY.
  void send(const DecodingStep& step, const StepRows& rows);
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
