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

// Tiles of all runs of rows that are worth it.
std::vector<PrefillTile> prefillTiles(const CachedAttentionRow* rows, int64_t count);

int64_t longestOf(const CachedAttentionRow* rows, int64_t count);
int64_t tableStrideFor(int64_t longest);

struct StepRows {
  std::vector<int32_t> lengths;  // [rows]
  std::vector<int32_t> tables;   // [tables, stride], zeros behind a table's own blocks
  int64_t stride = 0, longest = 0;
  // Empty without tiles: then row r has table r, wherever the rows of other steps lie.
  std::vector<int32_t> tableOf;  // [rows]: neighbouring rows of a sequence share its table
  std::vector<PrefillTile> tiles;
  std::vector<int32_t> singles;  // the numbers of rows in none of the tiles
  int64_t longestSingle = 0;

  // What is to be sent, and these once they lie at those addresses, in the order of the pieces.
  std::array<Staging::Piece, 5> pieces() const;
  CachedRows on(const std::vector<const void*>& device) const;
};

// Tables as wide as `longest` tokens need, at least as many as the longest row has.
StepRows stepRows(const CachedAttentionRow* rows, int64_t count, std::vector<PrefillTile> tiles,
                  int64_t longest);

}  // namespace hdpo::cuda
