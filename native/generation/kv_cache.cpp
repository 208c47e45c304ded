#include "generation/kv_cache.h"

#include <algorithm>
#include <cassert>

namespace hdpo {

namespace {

int64_t blocksFor(int64_t tokens) { return (tokens + kvBlockTokens - 1) / kvBlockTokens; }

constexpr int64_t kMostBlocks = int64_t{1} << 30;  // block numbers are int32

}  // namespace

KvCache::KvCache(Backend& backend, const ModelConfig& config, size_t budgetBytes, DType precision)
    : backend_(backend),
      layers_(config.layers),
      kvHeads_(config.kvHeads),
      headDim_(config.headDim),
      precision_(precision) {
  layerBlockBytes_ = static_cast<size_t>(2 * kvHeads_ * headDim_ * kvBlockTokens) * sizeOf(precision);
  blockBytes_ = layerBlockBytes_ * static_cast<size_t>(layers_);
  const int64_t count = std::clamp<int64_t>(static_cast<int64_t>(budgetBytes / blockBytes_), 1, kMostBlocks);
  storage_.reserve(backend_, blockBytes_ * static_cast<size_t>(count));
  references_.assign(static_cast<size_t>(count), 0);
  for (int64_t block = count - 1; block >= 0; --block) free_.push_back(static_cast<int32_t>(block));
}

Tensor KvCache::layer(int64_t layer) const {
  char* data = static_cast<char*>(storage_.data()) + static_cast<size_t>(layer * blocks()) * layerBlockBytes_;
  return Tensor(data, precision_, {blocks(), 2, kvHeads_, headDim_ * kvBlockTokens});
}

// Only the block of the first written position can be shared, because forks share only cached positions.
bool KvCache::writesToShared(const BlockTable& table, int64_t length) const {
  const size_t first = static_cast<size_t>(table.cached / kvBlockTokens);
  return length > table.cached && first < table.blocks.size() && references(table.blocks[first]) > 1;
}

int64_t KvCache::blocksToExtend(const BlockTable& table, int64_t length) const {
  const int64_t missing = blocksFor(length) - static_cast<int64_t>(table.blocks.size());
  return std::max<int64_t>(0, missing) + writesToShared(table, length);
}

void KvCache::extend(BlockTable& table, int64_t length) {
  assert(blocksToExtend(table, length) <= freeBlocks());
  if (writesToShared(table, length)) {
    int32_t& block = table.blocks[static_cast<size_t>(table.cached / kvBlockTokens)];
    const int32_t own = take();
    copy(own, block);
    drop(block);
    block = own;
  }
  while (static_cast<int64_t>(table.blocks.size()) < blocksFor(length)) table.blocks.push_back(take());
}

void KvCache::dropLastBlock(BlockTable& table) {
  drop(table.blocks.back());
  table.blocks.pop_back();
  table.cached = std::min(table.cached, static_cast<int64_t>(table.blocks.size()) * kvBlockTokens);
}

void KvCache::truncate(BlockTable& table, int64_t length) {
  while (static_cast<int64_t>(table.blocks.size()) > blocksFor(length)) dropLastBlock(table);
  table.cached = std::min(table.cached, length);
}

BlockTable KvCache::share(const BlockTable& table) {
  BlockTable fork;
  fork.blocks.assign(table.blocks.begin(), table.blocks.begin() + blocksFor(table.cached));
  fork.cached = table.cached;
  for (const int32_t block : fork.blocks) ++references_[static_cast<size_t>(block)];
  return fork;
}

int32_t KvCache::take() {
  const int32_t block = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(block)] = 1;
  return block;
}

void KvCache::drop(int32_t block) {
  if (--references_[static_cast<size_t>(block)] == 0) free_.push_back(block);
}

void KvCache::copy(int32_t destination, int32_t source) {
  for (int64_t index = 0; index < layers_; ++index) {
    const Tensor blocks = layer(index);
    backend_.convert(blocks.rows(destination, destination + 1), blocks.rows(source, source + 1));
  }
}

}  // namespace hdpo
