// Grouped advantages of R rollouts (docs/algorithm.md, "Two advantages"). Group ids are any int32 values in
// any order:
//   1. rollouts are partitioned into buckets by a hash of their group id, keeping their order (a counting
//   sort);
//   2. each bucket, small enough for the cache, is one thread's: an open-addressing table gives each of its
//   groups a number,
//      float64 sums give mean and deviation, and results go back to the rollouts' places.
// A group lies in one bucket and is summed in the rollouts' order: results do not depend on the number of
// threads.
//
// Deviations are summed from a group's first value v: with d = x - v, std^2 = (sum d^2 - (sum d)^2 / n) / (n
// - 1). As v is one of the values, (sum d)^2 / n is at most (n - 1) / n * sum d^2: nothing cancels, and sum
// d^2 is 0 exactly when all are equal.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <exception>
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
  int32_t group;   // its id, then its number in the bucket
  float reward;    // accuracy reward
  float toolCost;  // -1 where the answer is wrong: not in the qualifying set
};

// What turns a member's value into its advantage.
struct Normaliser {
  double first = 0, mean = 0, factor = 0;  // mean of the deviations from `first`
  float advantage(double value) const { return static_cast<float>((value - first - mean) * factor); }
};

// Sums of one channel over the members of a group. Without branches: which rollouts are right cannot be
// predicted.
struct ChannelSums {
  double first = 0, sum = 0, squares = 0;  // of deviations from `first`
  int32_t members = 0;

  void add(double value, bool member) {
    first = members == 0 ? value : first;
    members += member;
    const double deviation = (value - first) * member;
    sum += deviation;
    squares += deviation * deviation;
  }
  Normaliser normaliser(double epsilon, bool scaleByStd) const {
    if (squares == 0 || members < 2) return {first, 0, 0};
    const double count = members, mean = sum / count;
    const double deviation = std::sqrt((squares - sum * mean) / (count - 1));
    return {first, mean, scaleByStd ? 1 / (deviation + epsilon) : 1};
  }
};

struct GroupSums {
  ChannelSums accuracy, efficiency;
};
struct GroupNormalisers {
  Normaliser accuracy, efficiency;
};

double efficiencyReward(float toolCost) { return 1 / (static_cast<double>(toolCost) + 1); }

// Calls cost 1 each where no costs are given.
float toolCostOf(const GroupAdvantagesInput& input, int64_t i) {
  if (!input.correct[i]) return -1;
  return std::max(input.toolCosts ? input.toolCosts[i] : static_cast<float>(input.toolCalls[i]), 0.0f);
}

// Numbers groups from 0 in the order in which they are first asked for.
class GroupNumbers {
 public:
  void reset() {
    if (slots_.empty()) slots_.resize(1024);
    std::fill(slots_.begin(), slots_.end(), Slot());
    count_ = 0;
  }
  int32_t count() const { return count_; }
  int32_t numberOf(int32_t groupId) {
    Slot& slot = find(groupId);
    if (slot.number >= 0) return slot.number;
    slot = {groupId, count_++};
    const int32_t number = slot.number;
    if (2 * static_cast<size_t>(count_) > slots_.size()) grow();
    return number;
  }

 private:
  struct Slot {
    int32_t groupId = 0, number = -1;
  };
  Slot& find(int32_t groupId) {
    const size_t mask = slots_.size() - 1;
    size_t position = hashOf(groupId) & mask;
    while (slots_[position].number >= 0 && slots_[position].groupId != groupId)
      position = (position + 1) & mask;
    return slots_[position];
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.number >= 0) find(slot.groupId) = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, at least half of them free
  int32_t count_ = 0;
};

// One thread's memory, kept from bucket to bucket.
struct BucketWorkspace {
  GroupNumbers numbers;
  std::vector<GroupSums> sums;
  std::vector<GroupNormalisers> normalisers;
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
  // One bucket number a rollout, read by both passes: what another thread of the caller writes into groupIds
  // meanwhile may spoil the result, but never the memory.
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
      efficiencyRewards[i] = toolCost < 0 ? 0.0f : static_cast<float>(efficiencyReward(toolCost));
      rollouts[cursor[bucketNumbers[static_cast<size_t>(i)]]++] = {static_cast<int32_t>(i), input.groupIds[i],
                                                                   input.accuracyRewards[i], toolCost};
    }
  }
  return result;
}

void processBucket(Rollout* begin, Rollout* end, BucketWorkspace& workspace,
                   const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) {
  auto& [numbers, sums, normalisers] = workspace;
  numbers.reset();
  sums.clear();
  for (Rollout* rollout = begin; rollout < end; ++rollout) {
    rollout->group = numbers.numberOf(rollout->group);
    if (rollout->group == static_cast<int32_t>(sums.size())) sums.emplace_back();
    GroupSums& group = sums[static_cast<size_t>(rollout->group)];
    group.accuracy.add(rollout->reward, true);
    group.efficiency.add(efficiencyReward(std::max(rollout->toolCost, 0.0f)), rollout->toolCost >= 0);
  }
  normalisers.clear();
  for (const GroupSums& group : sums) {
    normalisers.push_back({group.accuracy.normaliser(input.epsilon, input.scaleByStd),
                           group.efficiency.normaliser(input.epsilon, input.scaleByStd)});
  }
  for (const Rollout* rollout = begin; rollout < end; ++rollout) {
    const GroupNormalisers& group = normalisers[static_cast<size_t>(rollout->group)];
    const float efficiency = group.efficiency.advantage(efficiencyReward(std::max(rollout->toolCost, 0.0f)));
    output.accuracyAdvantages[rollout->place] = group.accuracy.advantage(rollout->reward);
    output.efficiencyAdvantages[rollout->place] = rollout->toolCost >= 0 ? efficiency : 0;
  }
}

}  // namespace

void CpuBackend::groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) {
  assert(input.rollouts >= 0 && input.rollouts <= INT32_MAX);
  Profiler::Scope scope(profiler(), "groupAdvantages");
  if (input.rollouts == 0) return;
  const int threads = input.rollouts > kParallelElements ? threads_ : 1;
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
