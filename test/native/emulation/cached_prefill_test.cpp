// Runs of new tokens of sequences in the cache, compared with attention of the whole sequences, on the
// backend, which finds the tiles.
#include <doctest/doctest.h>

#include "cuda/decoding_arrays.h"
#include "emulated_backend.h"
#include "kernel_test.h"

using namespace hdpo;

namespace {

struct Run {
  int32_t cached, added;  // tokens before, and new ones, which are the step's rows
};

std::vector<int32_t> scrambledTable(int32_t blocks, int32_t first, int32_t count) {
  std::vector<int32_t> table;
  for (int32_t b = 0; b < count; ++b) table.push_back((first + b) * 7 % blocks);
  return table;
}

// The largest relative difference over all rows of all runs.
template <typename T>
double differenceFor(const std::vector<Run>& runs, const AttentionShape& shape, bool floatCache) {
  const auto device = emulatedBackend();
  ReferenceBackend reference;
  const auto& [heads, kvHeads, headDim] = shape;
  const int64_t width = shape.qkvWidth(), columns = shape.outWidth();
  int32_t blocks = 1;  // not a multiple of 7
  for (const Run& run : runs) blocks += (run.cached + run.added + 15) / 16;
  if (blocks % 7 == 0) ++blocks;
  const DType type = sizeof(T) == 2 ? DType::BFloat16 : DType::Float32;
  const DType cacheType = floatCache ? DType::Float32 : DType::BFloat16;
  const int64_t cacheValues = blocks * 2 * kvHeads * headDim * kvBlockTokens;
  std::vector<char> poison(static_cast<size_t>(cacheValues) * sizeOf(cacheType), '\xff');
  Buffer cacheMemory(*device, poison.size());
  device->copyFromHost(cacheMemory.data(), poison.data(), poison.size());
  const Tensor cache(cacheMemory.data(), cacheType, {blocks, 2, kvHeads, headDim * kvBlockTokens});

  std::vector<std::vector<int32_t>> tables;
  std::vector<CachedAttentionRow> rows;
  std::vector<T> stepValues;
  Values expected;
  int32_t next = 0;
  for (size_t s = 0; s < runs.size(); ++s) {
    const auto [before, added] = runs[s];
    const int32_t length = before + added;
    tables.push_back(scrambledTable(blocks, next, (length + 15) / 16));
    next += (length + 15) / 16;
    Values qkv = rounded<T>(randomValues(length * width, 10 + s, 1.5f));
    if (!floatCache) qkv = rounded<cuda::BFloat16>(qkv);
    const std::vector<T> values = toType<T>(qkv);
    std::vector<CachedAttentionRow> all;
    for (int32_t t = 1; t <= length; ++t) all.push_back({tables[s].data(), t});
    Buffer memory(*device, values.size() * sizeof(T));
    device->copyFromHost(memory.data(), values.data(), values.size() * sizeof(T));
    device->writeCache(cache, Tensor(memory.data(), type, {length, width}), all.data(), shape);
    rows.insert(rows.end(), all.begin() + before, all.end());
    stepValues.insert(stepValues.end(), values.begin() + before * width, values.end());
    Values out(static_cast<size_t>(length * columns)), sums(static_cast<size_t>(length * heads));
    const std::vector<int32_t> offsets = {0, length};
    reference.attention(view(out, {length, columns}), view(sums, {length, heads}), view(qkv, {length, width}),
                        offsets.data(), 1, shape);
    expected.insert(expected.end(), out.begin() + before * columns, out.end());
  }
  const auto count = static_cast<int64_t>(rows.size());
  Buffer stepMemory(*device, stepValues.size() * sizeof(T)),
      outMemory(*device, static_cast<size_t>(count * columns) * sizeof(T));
  device->copyFromHost(stepMemory.data(), stepValues.data(), stepValues.size() * sizeof(T));
  device->cachedAttention(Tensor(outMemory.data(), type, {count, columns}), cache,
                          Tensor(stepMemory.data(), type, {count, width}), rows.data(), shape);
  std::vector<T> found(static_cast<size_t>(count * columns));
  device->copyToHost(found.data(), outMemory.data(), found.size() * sizeof(T));
  return relativeDifference(toFloats(found), expected);
}

}  // namespace

TEST_CASE("cuda prefill: tiles are runs of one sequence, of up to 64 rows") {
  const std::vector<int32_t> first = {0, 1, 2, 3, 4, 5}, second = {6, 7};
  std::vector<CachedAttentionRow> rows;
  for (int32_t t = 0; t < 70; ++t) rows.push_back({first.data(), 11 + t});
  rows.push_back({second.data(), 5});  // a decoding row
  for (int32_t t = 0; t < 7; ++t)
    rows.push_back({second.data(), 7 + t});  // a short run, with a gap before it
  for (int32_t t = 0; t < 8; ++t) rows.push_back({second.data(), 20 + t});
  rows.push_back({nullptr, 0});
  const auto count = static_cast<int64_t>(rows.size());
  const std::vector<cuda::PrefillTile> tiles = cuda::prefillTiles(rows.data(), count);
  REQUIRE(tiles.size() == 3);
  const auto is = [](const cuda::PrefillTile& tile, int32_t row, int32_t position, int32_t count) {
    return tile.firstRow == row && tile.firstPosition == position && tile.rows == count;
  };
  CHECK(is(tiles[0], 0, 10, 64));
  CHECK(is(tiles[1], 64, 74, 6));
  CHECK(is(tiles[2], 78, 19, 8));
  const cuda::StepRows step = cuda::stepRows(rows.data(), count, tiles, 96);
  CHECK(step.singles == std::vector<int32_t>{70, 71, 72, 73, 74, 75, 76, 77});
  CHECK(step.longestSingle == 13);
  CHECK(step.lengths[69] == 80);
  CHECK(step.lengths[86] == 0);
  // There is one table per sequence, as long as its longest row needs, and one for the padding row.
  CHECK(step.tables == std::vector<int32_t>{0, 1, 2, 3, 4, 0, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(step.tableOf[0] == 0);
  CHECK(step.tableOf[69] == 0);
  CHECK(step.tableOf[70] == 1);
  CHECK(step.tableOf[85] == 1);
  CHECK(step.tableOf[86] == 2);
}

TEST_CASE(
    "cuda decoding: without a prompt every row has a table of its own, as wide as the step's longest may "
    "be") {
  const std::vector<int32_t> first = {4, 9}, second = {2};
  const std::vector<CachedAttentionRow> rows = {{first.data(), 17}, {second.data(), 3}, {nullptr, 0}};
  const cuda::StepRows step = cuda::stepRows(rows.data(), 3, {}, 48);
  CHECK(step.tables == std::vector<int32_t>{4, 9, 0, 2, 0, 0, 0, 0, 0});
  CHECK(step.tableOf.empty());
  CHECK(step.singles.empty());
}

TEST_CASE("cuda prefill: beside a long row that decodes, rows in tiles have no blocks of their own") {
  const auto device = emulatedBackend();
  const std::vector<int32_t> table(64, 0);
  std::vector<CachedAttentionRow> rows = {{table.data(), 1000}};
  const auto blocksOfStep = [&] {
    const auto count = static_cast<int64_t>(rows.size());
    Buffer cache(*device, 2 * 8 * kvBlockTokens * sizeof(float)),
        qkv(*device, rows.size() * 32 * sizeof(float)), out(*device, rows.size() * 16 * sizeof(float));
    device->zero(cache.data(), cache.bytes());
    device->zero(qkv.data(), qkv.bytes());
    const uint64_t before = emulation::blocks();
    device->cachedAttention(Tensor(out.f32(), {count, 16}), Tensor(cache.f32(), {1, 2, 1, 8 * kvBlockTokens}),
                            Tensor(qkv.f32(), {count, 32}), rows.data(),
                            {.heads = 2, .kvHeads = 1, .headDim = 8});
    return emulation::blocks() - before;
  };
  const uint64_t alone = blocksOfStep();
  CHECK(alone == 4 + 2);  // the stretches, and the heads when stretches are added up
  const std::vector<int32_t> prompt(8, 0);
  for (int32_t t = 1; t <= 128; ++t) rows.push_back({prompt.data(), t});
  CHECK(blocksOfStep() == alone + 2 * 2);  // two tiles per head
  rows.erase(rows.begin());
  CHECK(blocksOfStep() == 2 * 2);
}

TEST_CASE("cuda prefill: rows in tiles and rows alone agree with attention of the whole sequences") {
  // The runs are a new prompt, one that goes on behind others' tokens, and single rows between. They end at,
  // before and after the edge of a block, of a tile of keys and of a tile of queries.
  const std::vector<Run> runs = {{0, 70}, {33, 1}, {100, 64}, {0, 8}, {16, 7}, {63, 9}, {300, 1}, {5, 130}};
  uint64_t seed = 0;
  for (const AttentionShape& shape :
       {AttentionShape{1, 1, 2}, {4, 2, 16}, {3, 1, 20}, {5, 1, 64}, {2, 2, 80}, {2, 1, 128}, {1, 1, 162}}) {
    CAPTURE(shape.headDim);
    emulation::setSeed(++seed);
    CHECK(differenceFor<float>(runs, shape, true) < 3e-6);
    CHECK(differenceFor<cuda::BFloat16>(runs, shape, false) < 1e-2);
    if (shape.headDim <= 64) CHECK(differenceFor<float>(runs, shape, false) < 3e-6);
  }
}
