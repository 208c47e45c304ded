#include "cuda/step_rows.h"

#include <algorithm>

namespace hdpo::cuda {

namespace {

// A run with fewer rows of a sequence reads its keys again and again as fast as a tile would be filled. Not
// timed.
constexpr int64_t kLeastRun = 8;

void appendTable(StepRows& step, const CachedAttentionRow& row) {
  const int64_t blocks = tableStrideFor(row.length);
  step.tables.insert(step.tables.end(), row.blocks, row.blocks + blocks);
  step.tables.insert(step.tables.end(), static_cast<size_t>(step.stride - blocks), 0);
}

// Neighbouring rows of a sequence share a table; otherwise a prompt would have its table hundreds of times.
void shareTables(StepRows& step, const CachedAttentionRow* rows, int64_t count) {
  int32_t tables = 0;
  for (int64_t begin = 0, end = 0; begin < count; begin = end, ++tables) {
    CachedAttentionRow longest = rows[begin];
    for (end = begin; end < count && rows[end].blocks == rows[begin].blocks; ++end) {
      longest.length = std::max(longest.length, rows[end].length);
      step.tableOf.push_back(tables);
    }
    appendTable(step, longest);
  }
}

void findSingles(StepRows& step) {
  size_t tile = 0;  // the first that does not end before this row
  for (int32_t r = 0; r < static_cast<int32_t>(step.lengths.size()); ++r) {
    while (tile < step.tiles.size() && step.tiles[tile].firstRow + step.tiles[tile].rows <= r) ++tile;
    const bool tiled = tile < step.tiles.size() && step.tiles[tile].firstRow <= r;
    const int32_t length = step.lengths[static_cast<size_t>(r)];
    if (tiled || length == 0) continue;
    step.singles.push_back(r);
    step.longestSingle = std::max<int64_t>(step.longestSingle, length);
  }
}

}  // namespace

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

int64_t longestOf(const CachedAttentionRow* rows, int64_t count) {
  int64_t longest = 0;
  for (int64_t r = 0; r < count; ++r) longest = std::max<int64_t>(longest, rows[r].length);
  return longest;
}

int64_t tableStrideFor(int64_t longest) { return (longest + kvBlockTokens - 1) / kvBlockTokens; }

StepRows stepRows(const CachedAttentionRow* rows, int64_t count, std::vector<PrefillTile> tiles,
                  int64_t longest) {
  StepRows step;
  step.longest = longest;
  step.stride = tableStrideFor(longest);
  step.tiles = std::move(tiles);
  for (int64_t r = 0; r < count; ++r) step.lengths.push_back(rows[r].length);
  if (step.tiles.empty()) {
    step.tables.reserve(static_cast<size_t>(count * step.stride));
    for (int64_t r = 0; r < count; ++r) appendTable(step, rows[r]);
  } else {
    shareTables(step, rows, count);
    findSingles(step);
  }
  return step;
}

std::array<Staging::Piece, 5> StepRows::pieces() const {
  const auto piece = [](const auto& values) {
    return Staging::Piece{values.data(), values.size() * sizeof(values[0])};
  };
  return {piece(lengths), piece(tables), piece(tableOf), piece(tiles), piece(singles)};
}

CachedRows StepRows::on(const std::vector<const void*>& device) const {
  CachedRows rows;
  rows.rows = static_cast<int64_t>(lengths.size());
  rows.tableStride = stride;
  rows.longest = longest;
  rows.lengths = static_cast<const int32_t*>(device[0]);
  rows.blockTables = static_cast<const int32_t*>(device[1]);
  if (tiles.empty()) return rows;
  rows.tableOf = static_cast<const int32_t*>(device[2]);
  rows.tiles = static_cast<const PrefillTile*>(device[3]);
  rows.tileCount = static_cast<int64_t>(tiles.size());
  rows.singles = static_cast<const int32_t*>(device[4]);
  rows.singleCount = static_cast<int64_t>(singles.size());
  rows.longestSingle = longestSingle;
  return rows;
}

}  // namespace hdpo::cuda
