// Decoding steps: their arrays, and graphs of those that come again. A step of some key runs as it is the
// first time, which takes all memory that it needs and lets cuBLAS load what it uses. The second time it is
// recorded, and from then on it is replayed.
#include <bit>

#include "core/error.h"
#include "cuda/cuda_backend.h"

namespace hdpo::cuda {

namespace {

// Beyond these a step takes longer than launching it: rows, and rows times stretches of the longest, which
// rounding up may have made four times as many, each with blocks of its own in attention's grids.
constexpr int64_t kMostRows = 256, kMostParts = 16384;

int64_t powerOfTwo(int64_t count) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(count)));
}

}  // namespace

bool CudaBackend::replays(int64_t rows) const { return graphsOn_ && rows > 0 && rows <= kMostRows; }

int64_t CudaBackend::decodingRows(const CachedAttentionRow* rows, int64_t count) const {
  return replays(count) && prefillTiles(rows, count).empty() ? powerOfTwo(count) : count;
}

void CudaBackend::decodingStep(const DecodingStep& step, const std::function<void()>& ops) {
  const int64_t longest = longestOf(step.cached, step.rows),
                stretches = powerOfTwo((longest + kCachedStretch - 1) / kCachedStretch);
  std::vector<PrefillTile> tiles = prefillTiles(step.cached, step.rows);
  const bool replayed =
      replays(step.rows) && step.rows * stretches <= kMostParts && tiles.empty() && !profiler().enabled();
  struct Forget {
    DecodingArrays& arrays;
    ~Forget() { arrays.forget(); }
  };
  const Forget forget{*arrays_};
  const int64_t reach = replayed ? stretches * kCachedStretch : longest;
  arrays_->send(step, stepRows(step.cached, step.rows, std::move(tiles), reach));
  if (!replayed) return ops();
  const DecodingKey key{step.decoder, step.cache, step.variant, step.rows, stretches};
  DecodingGraphs::Entry* known = graphs_.find(key);
  if (!known) {
    ops();
    return graphs_.add(key, newestMemory_);
  }
  if (!known->graph) known->graph = record(ops);
  launchGraph(stream_, known->graph);
}

// A step that cannot be recorded is a fault of this program: what fails says so, with the op it was in.
Graph CudaBackend::record(const std::function<void()>& ops) {
  beginCapture(stream_);
  recording_ = true;
  try {
    ops();
    require(withheld_.empty(), "ERR_INTERNAL", "memory was released");
  } catch (const Error& error) {
    endRecording();
    throw Error(error.code(),
                std::string("recording a decoding step, in ") + op_ + " or after it: " + error.what());
  } catch (...) {
    endRecording();
    throw;
  }
  recording_ = false;
  return endCapture(stream_);
}

void CudaBackend::endRecording() noexcept {
  abandonCapture(stream_);
  recording_ = false;
  for (void* pointer : withheld_) release(pointer);
  withheld_.clear();
}

void CudaBackend::refuseWhileRecording(const char* what) const {
  if (recording_) throw Error("ERR_INTERNAL", what);
}

std::vector<const void*> CudaBackend::upload(std::initializer_list<Staging::Piece> pieces) {
  std::vector<const void*> places;
  for (const Staging::Piece& piece : pieces) {
    if (const void* place = arrays_->placeOf(piece.source, piece.bytes)) places.push_back(place);
  }
  if (places.size() == pieces.size()) return places;
  refuseWhileRecording("an array is sent that is none of the step's");
  return staging_->upload(pieces);
}

CachedRows CudaBackend::upload(const CachedAttentionRow* rows, int64_t count) {
  if (const CachedRows* sent = arrays_->rowsOf(rows, count)) return *sent;
  const StepRows step = stepRows(rows, count, prefillTiles(rows, count), longestOf(rows, count));
  const auto pieces = step.pieces();
  return step.on(upload({pieces[0], pieces[1], pieces[2], pieces[3], pieces[4]}));
}

}  // namespace hdpo::cuda
