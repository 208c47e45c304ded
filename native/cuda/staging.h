// Brings small arrays (tokens, positions, offsets, block tables) from the host to kernels without waiting:
// they are copied to a ring of pinned memory and from there, in the order of the stream, to a ring on the
// device. An array that was uploaded a moment ago and is the same again, as every layer's positions are, is
// not sent twice.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <vector>

#include "cuda/runtime.h"

namespace hdpo::cuda {

class Staging {
 public:
  explicit Staging(Stream stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  struct Piece {
    const void* source;  // host memory, free to change when upload returns; may be null where bytes is 0
    size_t bytes;
  };
  // Returns device addresses of copies of the pieces, each 16-byte aligned. They serve kernels that are
  // queued before the upload after the next, so an op may send two. Throws ERR_OUT_OF_MEMORY.
  std::vector<const void*> upload(std::initializer_list<Piece> pieces);

  size_t bytes() const { return 2 * halfBytes_; }  // on the device, and as many in pinned memory

 private:
  struct Block {
    size_t offset = 0;  // offset in the ring
    std::vector<size_t> sizes;
  };

  void grow(size_t halfBytes);
  void release() noexcept;
  void enterOtherHalf();
  const Block* sameAsBefore(std::initializer_list<Piece> pieces) const;
  std::vector<const void*> addresses(const Block& block) const;

  Stream stream_;
  size_t halfBytes_ = 0;
  int half_ = 0;
  size_t used_ = 0;  // bytes of the present half
  char *pinned_ = nullptr, *device_ = nullptr;
  char* outgrown_ = nullptr;   // the device's ring before this one, where the last upload may lie
  Mark marks_[2];              // set when a half is left: its copies have been queued before
  std::vector<Block> recent_;  // uploads in the present half, the latest last
};

}  // namespace hdpo::cuda
