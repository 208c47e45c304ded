// Decides which rows a generation step computes, and who gives up memory for them.
//
// Requests are served in the order of their sequences' ids: rollouts that have begun end, and free their
// memory, before younger ones take it. A request that does not fit takes blocks from idle sequences (least
// recently used first) and then from younger requests (youngest first). What was taken is computed again when
// its turn comes. The oldest request can always take all that it needs, so some request always proceeds.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "generation/generator.h"
#include "generation/kv_cache.h"
#include "generation/stop_strings.h"

namespace hdpo {

// A sample or a prefill that has not ended.
struct GenerationRequest {
  bool sampling = false;
  SamplingOptions options;
  SampleResult result;
  StopStrings stopStrings;
  size_t firstLength = 0;  // the sequence's tokens when the request came
  std::function<void(std::exception_ptr)> prefilled;
  std::function<void(std::exception_ptr, SampleResult)> sampled;
};

struct GenerationSequence {
  std::vector<int32_t> tokens;
  BlockTable cache;
  uint64_t lastUse = 0;  // the step of the last use, for eviction
  std::unique_ptr<GenerationRequest> request;

  // How many tokens must be cached for the request to go on. A sample needs all, because its last row gives
  // the logits.
  int64_t wanted() const { return static_cast<int64_t>(tokens.size()) - (request->sampling ? 0 : 1); }
  int64_t missing() const { return wanted() - cache.cached; }
};

// Ordered by id: the order of service.
using GenerationSequences = std::map<SequenceId, GenerationSequence>;
using ActiveSequences = std::map<SequenceId, GenerationSequence*>;  // those with a request

class Scheduler {
 public:
  Scheduler(KvCache& cache, int64_t maxBatchRows) : cache_(cache), maxBatchRows_(maxBatchRows) {}

  struct Share {
    SequenceId id;
    GenerationSequence* sequence;
    int64_t rows;  // to compute in this step: positions [cache.cached, cache.cached + rows)
  };
  // Plans at most maxBatchRows rows: first one token of every decoding sequence, then prefill in the order of
  // service. Cache blocks are taken for all missing tokens of the shares. A request with nothing missing must
  // not be in `active`.
  std::vector<Share> plan(GenerationSequences& sequences, const ActiveSequences& active, uint64_t step);

  uint64_t evictions() const { return evictions_; }

 private:
  using Victims = std::vector<GenerationSequence*>;

  bool makeRoom(const ActiveSequences::value_type& wanting, const Victims& idle,
                const ActiveSequences& active);
  bool suffices(const GenerationSequence& wanting, const Victims& victims);
  bool fits(const GenerationSequence& sequence) const;

  KvCache& cache_;
  const int64_t maxBatchRows_;
  uint64_t evictions_ = 0;
  std::vector<int32_t> held_;  // for suffices(), kept for its memory: how many victims hold each block
};

}  // namespace hdpo
