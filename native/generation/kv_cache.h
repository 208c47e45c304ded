// The paged cache of keys and values: blocks of kvBlockTokens tokens, each holding all layers of its tokens.
// Sequences own blocks through tables. Forks share blocks; a shared block is copied before one of its sharers
// writes to it.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "ops/buffer.h"

namespace hdpo {

// The blocks of one sequence, in order. Positions [0, cached) hold valid keys and values.
struct BlockTable {
  std::vector<int32_t> blocks;
  int64_t cached = 0;
};

class KvCache {
 public:
  // The cache has as many blocks as the budget holds, at least one. precision: Float32 or BFloat16. Throws
  // ERR_OUT_OF_MEMORY.
  KvCache(Backend& backend, const ModelConfig& config, size_t budgetBytes, DType precision = DType::Float32);

  Tensor layer(int64_t layer) const;  // [blocks, 2, K, E * kvBlockTokens]
  int64_t blocks() const { return static_cast<int64_t>(references_.size()); }
  int64_t freeBlocks() const { return static_cast<int64_t>(free_.size()); }
  int64_t capacityTokens() const { return blocks() * kvBlockTokens; }
  size_t blockBytes() const { return blockBytes_; }
  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }

  // How many free blocks extend() takes to make the positions [table.cached, length) writable.
  int64_t blocksToExtend(const BlockTable& table, int64_t length) const;
  void extend(BlockTable& table, int64_t length);
  void dropLastBlock(BlockTable& table);
  void truncate(BlockTable& table, int64_t length);  // keeps at most `length` tokens
  BlockTable share(const BlockTable& table);         // the cached part, for a fork

 private:
  int32_t take();
  void drop(int32_t block);
  void copy(int32_t destination, int32_t source);
  bool writesToShared(const BlockTable& table, int64_t length) const;

  Backend& backend_;
  int64_t layers_, kvHeads_, headDim_;
  DType precision_;
  size_t layerBlockBytes_, blockBytes_;
  Buffer storage_;                   // [layers][blocks, 2, K, E * kvBlockTokens]
  std::vector<int32_t> references_;  // per block, how many tables hold it
  std::vector<int32_t> free_;  // a stack, lowest on top at first: memory is touched only when it is needed
};

}  // namespace hdpo
