// The rows of a decoding step on their way to the device: lengths, block tables, and which rows attend to the
// cache together.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cuda/cached_attention.h"
#include "cuda/staging.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// The tiles of all runs of rows that are long enough for them.
std::vector<PrefillTile> prefillTiles(const CachedAttentionRow* rows, int64_t count);

int64_t longestOf(const CachedAttentionRow* rows, int64_t count);
int64_t tableStrideFor(int64_t longest);

struct StepRows {
  std::vector<int32_t> lengths;  // [rows]
  std::vector<int32_t> tables;   // [tables, stride], zeros behind a table's own blocks
  int64_t stride = 0, longest = 0;
  // Empty without tiles: row r then has table r, at the same place in every step.
  std::vector<int32_t> tableOf;  // [rows]: neighbouring rows of a sequence share its table
  std::vector<PrefillTile> tiles;
  std::vector<int32_t> singles;  // the numbers of rows that are in no tile
  int64_t longestSingle = 0;

  // `pieces` is what is to be sent, and `on` are the rows once the pieces lie at those addresses, in the same
  // order.
  std::array<Staging::Piece, 5> pieces() const;
  CachedRows on(const std::vector<const void*>& device) const;
};

// Tables are as wide as `longest` tokens need, which must be at least the longest row's.
StepRows stepRows(const CachedAttentionRow* rows, int64_t count, std::vector<PrefillTile> tiles,
                  int64_t longest);

}  // namespace hdpo::cuda
