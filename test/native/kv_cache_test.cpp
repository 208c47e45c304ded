#include "generation/kv_cache.h"

#include "op_test.h"

using namespace hdpo;

namespace {

// One value of a block, in the last layer.
float& valueOf(const KvCache& cache, const ModelConfig& config, int32_t block) {
  const Tensor layer = cache.layer(config.layers - 1);
  return layer.f32()[block * layer.count() / layer.shape[0] + 5];
}

}  // namespace

TEST_CASE("kv cache: holds as many blocks as the budget, at least one") {
  ReferenceBackend backend;
  const ModelConfig config = smallConfig();
  const size_t blockBytes =
      static_cast<size_t>(config.layers * 2 * config.kvHeads * config.headDim * kvBlockTokens) * 4;
  CHECK(KvCache(backend, config, 3 * blockBytes + 1).blocks() == 3);
  CHECK(KvCache(backend, config, 0).blocks() == 1);
  CHECK(KvCache(backend, config, 3 * blockBytes).capacityTokens() == 3 * kvBlockTokens);
  CHECK(KvCache(backend, config, 3 * blockBytes).blockBytes() == blockBytes);
  const KvCache brief(backend, config, 3 * blockBytes, DType::BFloat16);
  CHECK(brief.blockBytes() == blockBytes / 2);
  CHECK(brief.capacityTokens() == 6 * kvBlockTokens);
  CHECK(brief.layer(0).dtype == DType::BFloat16);
}

TEST_CASE("kv cache: forks share blocks, and a sharer that writes gets a copy") {
  ReferenceBackend backend;
  const ModelConfig config = smallConfig();
  KvCache cache(backend, config, 1 << 20);
  const int64_t all = cache.freeBlocks();
  BlockTable parent;
  CHECK(cache.blocksToExtend(parent, 20) == 2);
  cache.extend(parent, 20);
  parent.cached = 18;
  valueOf(cache, config, parent.blocks[1]) = 42;

  BlockTable child = cache.share(parent);
  CHECK(child.blocks == parent.blocks);
  CHECK(cache.freeBlocks() == all - 2);
  CHECK(cache.blocksToExtend(child, 18) == 0);
  CHECK(cache.blocksToExtend(child, 19) == 1);   // the copy
  CHECK(cache.blocksToExtend(child, 33) == 2);   // the copy and one more
  CHECK(cache.blocksToExtend(parent, 20) == 1);  // the parent has the block, but it is shared now
  cache.extend(child, 33);
  CHECK(child.blocks[0] == parent.blocks[0]);
  CHECK(child.blocks[1] != parent.blocks[1]);
  CHECK(valueOf(cache, config, child.blocks[1]) == 42);
  valueOf(cache, config, child.blocks[1]) = 43;
  CHECK(valueOf(cache, config, parent.blocks[1]) == 42);
  CHECK(cache.blocksToExtend(parent, 20) == 0);  // the parent is the only holder again

  cache.truncate(child, 17);
  CHECK(child.blocks.size() == 2);
  CHECK(child.cached == 17);
  cache.truncate(child, 0);
  cache.dropLastBlock(parent);
  CHECK(parent.cached == kvBlockTokens);
  cache.truncate(parent, 0);
  CHECK(cache.freeBlocks() == all);
}

TEST_CASE("kv cache: a fork takes the cached blocks only") {
  ReferenceBackend backend;
  KvCache cache(backend, smallConfig(), 1 << 20);
  BlockTable parent;
  cache.extend(parent, 64);
  parent.cached = 16;
  const BlockTable child = cache.share(parent);
  CHECK(child.blocks.size() == 1);
  CHECK(child.cached == 16);
  CHECK(cache.blocksToExtend(parent, 64) == 0);  // the block that it goes on to write is its own
}
