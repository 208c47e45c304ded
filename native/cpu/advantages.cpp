// Grouped advantages of R rollouts (docs/algorithm.md, "Two advantages"). Group ids are any int32 values in
// any order:
//   1. Rollouts are partitioned into buckets by a hash of their group id, keeping their order (a counting
//      sort).
//   2. Each bucket, small enough for the cache, is one thread's: an open-addressing table gives each of its
//      groups a number, float64 sums give mean and deviation, and results go back to the rollouts' places.
// A group lies in one bucket and is summed in the rollouts' order: results do not depend on the number of
// threads.
//
// Deviations are summed from a group's first value v: with d = x - v,
//   std^2 = (sum d^2 - (sum d)^2 / n) / (n - 1)
// As v is one of the values, (sum d)^2 / n is at most (n - 1) / n * sum d^2: nothing cancels, and sum d^2 is
// exactly 0 when all values are equal.
#include <omp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <exception>
#include <limits>
#include <utility>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"
#include "ops/buffer.h"

namespace hdpo {

namespace {

constexpr int64_t kRolloutsPerBucket = 8192;
constexpr int kMostBucketBits = 8;

// MurmurHash3's finaliser: a bijection whose every output bit depends on every input bit.
uint32_t hashOf(int32_t groupId) {
  uint32_t h = static_cast<uint32_t>(groupId);
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

struct Rollout {
  int32_t place;
  uint32_t group;  // the hash of its id (as good as the id), then its number in the bucket
  float reward;    // accuracy reward
  float toolCost;  // infinite where the answer is wrong: efficiency reward 0, not in the qualifying set
};

// Accuracy and efficiency stand side by side: two lanes cost little more than one.
using Channels = std::array<double, 2>;

// Sums over a group's members per channel. `add` has no branches, because which rollouts are right cannot be
// predicted.
struct GroupSums {
  Channels first{}, sum{}, squares{};  // sums of deviations from `first`
  Channels members{};

  // member: 1, or 0 where the rollout is not in the channel.
  void add(const Channels& value, const Channels& member) {
    for (size_t c = 0; c < 2; ++c) {
      first[c] = members[c] == 0 ? value[c] : first[c];
      members[c] += member[c];
      const double deviation = (value[c] - first[c]) * member[c];
      sum[c] += deviation;
      squares[c] += deviation * deviation;
    }
  }
};

// Turns a member's value into its advantage, (value - first - mean) * factor. A factor of 0 makes the
// advantage 0.
struct GroupNormaliser {
  Channels first{}, mean{}, factor{};  // mean of the deviations from `first`

  GroupNormaliser(const GroupSums& sums, double epsilon, bool scaleByStd) : first(sums.first) {
    for (size_t c = 0; c < 2; ++c) {
      if (sums.squares[c] == 0 || sums.members[c] < 2) continue;
      mean[c] = sums.sum[c] / sums.members[c];
      const double deviation = std::sqrt((sums.squares[c] - sums.sum[c] * mean[c]) / (sums.members[c] - 1));
      factor[c] = scaleByStd ? 1 / (deviation + epsilon) : 1;
    }
  }
};

double efficiencyReward(float toolCost) { return 1 / (static_cast<double>(toolCost) + 1); }

constexpr float kWrong = std::numeric_limits<float>::infinity();

// Calls cost 1 each where no costs are given. A table stands in place of a branch, because which answers are
// right cannot be predicted.
float toolCostOf(const GroupAdvantagesInput& input, int64_t i) {
  constexpr float kAdded[2] = {kWrong, 0};
  const float cost = input.toolCosts ? input.toolCosts[i] : static_cast<float>(input.toolCalls[i]);
  return std::max(cost, 0.0f) + kAdded[input.correct[i] != 0];
}

double isCorrect(const Rollout& rollout) { return static_cast<double>(rollout.toolCost < kWrong); }

// Numbers groups from 0 in the order in which they are first asked for.
class GroupNumbers {
 public:
  void reset() {
    if (slots_.empty()) slots_.resize(1024);
    std::fill(slots_.begin(), slots_.end(), Slot());
    count_ = 0;
  }
  uint32_t numberOf(uint32_t hash) {
    Slot& slot = find(hash);
    if (slot.number != kFree) return slot.number;
    slot = {hash, count_++};
    const uint32_t number = slot.number;
    if (2 * static_cast<size_t>(count_) > slots_.size()) grow();
    return number;
  }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  struct Slot {
    uint32_t hash = 0, number = kFree;
  };
  Slot& find(uint32_t hash) {
    const size_t mask = slots_.size() - 1;
    size_t position = hash & mask;
    while (slots_[position].number != kFree && slots_[position].hash != hash)
      position = (position + 1) & mask;
    return slots_[position];
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.number != kFree) find(slot.hash) = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, at least half of them free
  uint32_t count_ = 0;
};

// One thread's memory, kept from bucket to bucket.
struct BucketWorkspace {
  GroupNumbers numbers;
  std::vector<GroupSums> sums;
  std::vector<GroupNormaliser> normalisers;
  std::vector<double> efficiencyRewards;  // per rollout of the bucket
};

// The rollouts ordered by bucket, bucket b being rollouts [starts[b], starts[b + 1]).
struct Partition {
  Rollout* rollouts;
  std::vector<int64_t> starts;
};

// Also writes the efficiency rewards, which need no group.
Partition partition(const GroupAdvantagesInput& input, float* efficiencyRewards, Rollout* rollouts,
                    int bucketBits, int threads) {
  const int64_t count = input.rollouts, buckets = int64_t{1} << bucketBits;
  const auto bucketOf = [&](int64_t i) { return (uint64_t{hashOf(input.groupIds[i])} << bucketBits) >> 32; };
  // Both passes read these numbers, one per rollout, and not groupIds: if another thread of the caller writes
  // to groupIds meanwhile, the result may be wrong, but no memory is corrupted.
  std::vector<uint8_t> bucketNumbers(static_cast<size_t>(count));
  std::vector<int64_t> cursors(static_cast<size_t>(threads * buckets));  // [share, bucket]
  Partition result{rollouts, std::vector<int64_t>(static_cast<size_t>(buckets + 1))};
#pragma omp parallel num_threads(threads)
  {
    const int64_t share = omp_get_thread_num(), shares = omp_get_num_threads();
    const int64_t begin = count * share / shares, end = count * (share + 1) / shares;
    int64_t* cursor = cursors.data() + share * buckets;
    for (int64_t i = begin; i < end; ++i) {
      const auto bucket = bucketOf(i);
      bucketNumbers[static_cast<size_t>(i)] = static_cast<uint8_t>(bucket);
      ++cursor[bucket];
    }
#pragma omp barrier
#pragma omp single
    {
      int64_t next = 0;
      for (int64_t bucket = 0; bucket < buckets; ++bucket) {
        result.starts[static_cast<size_t>(bucket)] = next;
        for (int64_t other = 0; other < shares; ++other) {
          next += std::exchange(cursors[static_cast<size_t>(other * buckets + bucket)], next);
        }
      }
      result.starts[static_cast<size_t>(buckets)] = next;
    }
    for (int64_t i = begin; i < end; ++i) {
      const float toolCost = toolCostOf(input, i);
      efficiencyRewards[i] = static_cast<float>(efficiencyReward(toolCost));
      rollouts[cursor[bucketNumbers[static_cast<size_t>(i)]]++] = {
          static_cast<int32_t>(i), hashOf(input.groupIds[i]), input.accuracyRewards[i], toolCost};
    }
  }
  return result;
}

void processBucket(Rollout* begin, Rollout* end, BucketWorkspace& workspace,
                   const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) {
  auto& [numbers, sums, normalisers, efficiencyRewards] = workspace;
  const size_t count = static_cast<size_t>(end - begin);
  efficiencyRewards.resize(count);
  for (size_t i = 0; i < count; ++i) efficiencyRewards[i] = efficiencyReward(begin[i].toolCost);
  numbers.reset();
  sums.clear();
  for (size_t i = 0; i < count; ++i) {
    Rollout& rollout = begin[i];
    rollout.group = numbers.numberOf(rollout.group);
    if (rollout.group == sums.size()) sums.emplace_back();
    sums[rollout.group].add({rollout.reward, efficiencyRewards[i]}, {1, isCorrect(rollout)});
  }
  normalisers.clear();
  for (const GroupSums& group : sums) normalisers.emplace_back(group, input.epsilon, input.scaleByStd);
  for (size_t i = 0; i < count; ++i) {
    const Rollout& rollout = begin[i];
    const GroupNormaliser& group = normalisers[rollout.group];
    const Channels value{rollout.reward, efficiencyRewards[i]};
    Channels advantage;
    for (size_t c = 0; c < 2; ++c)
      advantage[c] = (value[c] - group.first[c] - group.mean[c]) * group.factor[c];
    output.accuracyAdvantages[rollout.place] = static_cast<float>(advantage[0]);
    // Adding 0 turns the -0 of a wrong answer into 0.
    output.efficiencyAdvantages[rollout.place] = static_cast<float>(advantage[1] * isCorrect(rollout) + 0.0);
  }
}

}  // namespace

void CpuBackend::groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) {
  assert(input.rollouts >= 0 && input.rollouts <= INT32_MAX);
  Profiler::Scope scope(profiler(), "groupAdvantages");
  if (input.rollouts == 0) return;
  const int threads = input.rollouts > parallelElements() ? threads_ : 1;
  const int bits = std::bit_width(static_cast<uint64_t>(input.rollouts / kRolloutsPerBucket));
  const Buffer buffer(*this, static_cast<size_t>(input.rollouts) * sizeof(Rollout));
  const auto [rollouts, starts] =
      partition(input, output.efficiencyRewards, static_cast<Rollout*>(buffer.data()),
                std::min(bits, kMostBucketBits), threads);
  std::vector<BucketWorkspace> workspaces(static_cast<size_t>(threads));
  // An exception must not leave a parallel region.
  std::vector<std::exception_ptr> errors(workspaces.size());
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (size_t bucket = 0; bucket < starts.size() - 1; ++bucket) {
    const size_t thread = static_cast<size_t>(omp_get_thread_num());
    try {
      processBucket(rollouts + starts[bucket], rollouts + starts[bucket + 1], workspaces[thread], input,
                    output);
    } catch (...) {
      errors[thread] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace hdpo
