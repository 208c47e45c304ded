// Grouped advantages of R rollouts (docs/algorithm.md, "Two advantages"). Group ids are any int32 values in
// any order. Five kernels:
//   1. numberGroups      an open-addressing table gives each id a slot, and each used slot a number; which
//                        one is chance, and nothing depends on it
//   2. findExtremes      the smallest and largest value of each group and channel
//   3. addMembers        sums over the members of d = value - smallest and of d^2, as integers in units of
//                        the group's range: integers add up to the same bits in any order, so that atomics do
//                        not harm the determinism
//   4. normalise         mean and 1 / (deviation + epsilon) of each group
//   5. writeAdvantages
// Neighbours in one warp that share a group are added up before they reach memory: groups of G rollouts that
// lie together, as a trainer's do, cost one atomic in place of G.
//
// With u = d / 2^e in [0, 1], where 2^e is the range rounded up, a sum has 62 - log2(R) fractional bits: 42
// for a million rollouts. Values that are all equal have range 0 and advantages of exactly 0; a value that is
// not finite makes its group's advantages NaN.
#include <cmath>
#include <limits>

#include "cuda/advantages.h"
#include "cuda/cuda_backend.h"
#include "cuda/device_arrays.h"
#include "cuda/dispatch.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

using Unsigned64 = unsigned long long;  // what CUDA's atomics take

constexpr int kThreads = 256;
constexpr int kMostBlocks = 4096;

constexpr unsigned kAccuracyNotFinite = 1, kEfficiencyNotFinite = 2;

// Extremes as integers in the order of the floats, 0: none yet. `low` ones are inverted, so that both take
// atomicMax. The efficiency channel's are tool costs of right rollouts: efficiency falls as the cost rises.
struct Extremes {
  unsigned accuracyLow, accuracyHigh, costLow, costHigh;
};

struct Normaliser {
  // The mean of the deviations from the smallest value, and the factor for them; 0 makes every advantage 0.
  double accuracyMean, accuracyFactor, efficiencyMean, efficiencyFactor;
};

struct Group {
  Extremes extremes;
  unsigned notFinite, unused;
  Unsigned64 members;  // of the efficiency channel in the upper 32 bits
  union {
    Unsigned64 sums[4];  // accuracy: d, d^2; efficiency: d, d^2
    Normaliser normaliser;
  };
};
static_assert(sizeof(Group) == 64);

struct Tables {
  Unsigned64* keys;  // [slots] id + 2^32, 0: free
  int32_t* numbers;  // [slots]
  int32_t* groupOf;  // [R] slot, then number
  Group* groups;     // [R]
  int32_t* count;    // of groups
  int64_t slots;
};

int64_t slotsFor(int64_t rollouts) {
  int64_t slots = 64;
  while (slots < 2 * rollouts) slots *= 2;
  return slots;
}

Tables tablesIn(Workspace& workspace, int64_t rollouts) {
  Tables tables{};
  tables.slots = slotsFor(rollouts);
  tables.keys = workspace.take<Unsigned64>(tables.slots);
  tables.count = workspace.take<int32_t>(1);
  tables.numbers = workspace.take<int32_t>(tables.slots);
  tables.groupOf = workspace.take<int32_t>(rollouts);
  tables.groups = workspace.take<Group>(rollouts);
  return tables;
}

// What the kernels need of input and output, by value.
struct Rollouts {
  int64_t count;
  const int32_t* groupIds;
  const float* accuracyRewards;
  const uint8_t* correct;
  const int32_t* toolCalls;
  const float* toolCosts;
  double epsilon;
  bool scaleByStd;
  int fractionBits;
  float *efficiencyRewards, *accuracyAdvantages, *efficiencyAdvantages;
};

// MurmurHash3's finaliser.
__device__ uint32_t hashOf(uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

__device__ unsigned ordered(float value) {
  const unsigned bits = __float_as_uint(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ float fromOrdered(unsigned bits) {
  return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

__device__ bool isFinite(float value) { return (__float_as_uint(value) & 0x7f800000u) != 0x7f800000u; }

// The cost of a rollout's tool calls; infinite where its answer is wrong.
__device__ float toolCostOf(const Rollouts& rollouts, int64_t i) {
  const float cost = rollouts.toolCosts ? rollouts.toolCosts[i] : static_cast<float>(rollouts.toolCalls[i]);
  if (cost != cost) return cost;
  return rollouts.correct[i] ? (cost > 0 ? cost : 0.0f) : std::numeric_limits<float>::infinity();
}
__device__ double efficiencyReward(float toolCost) { return 1 / (static_cast<double>(toolCost) + 1); }

// The stretch of neighbouring lanes with the same group that this lane is in.
struct Run {
  unsigned lanes;  // a mask
  int last;
  bool leader;  // its first lane

  __device__ explicit Run(int32_t group) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int32_t before = __shfl_up_sync(kAllLanes, group, 1);
    leader = lane == 0 || before != group;
    const unsigned leaders = __ballot_sync(kAllLanes, leader);
    const unsigned later = lane == kWarp - 1 ? 0 : leaders >> (lane + 1);
    last = later ? lane + __ffs(static_cast<int>(later)) - 1 : kWarp - 1;
    const unsigned upToMe = leaders & (0xffffffffu >> (kWarp - 1 - lane));
    const int first = kWarp - 1 - __clz(static_cast<int>(upToMe));
    lanes = (0xffffffffu >> (kWarp - 1 - last)) & (0xffffffffu << first);
  }

  // The leader gets the whole run's result.
  template <typename T, typename Operation>
  __device__ T reduce(T value, Operation operation) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const T other = __shfl_down_sync(kAllLanes, value, static_cast<unsigned>(distance));
      if (lane + distance <= last) value = operation(value, other);
    }
    return value;
  }
};

struct LargestBits {
  __device__ unsigned operator()(unsigned a, unsigned b) const { return a > b ? a : b; }
};
struct EitherBits {
  __device__ unsigned operator()(unsigned a, unsigned b) const { return a | b; }
};

__global__ void __launch_bounds__(kThreads) numberGroups(Rollouts rollouts, Tables tables) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const bool valid = i < rollouts.count;
  const int32_t id = valid ? rollouts.groupIds[i] : 0;
  const Run run(valid ? id : ~rollouts.groupIds[rollouts.count - 1]);  // beyond the end: nobody's neighbour
  int32_t slot = 0;
  if (valid && run.leader) {
    const auto key = static_cast<Unsigned64>(static_cast<uint32_t>(id)) + (Unsigned64{1} << 32);
    const auto mask = static_cast<uint32_t>(tables.slots - 1);
    uint32_t place = hashOf(static_cast<uint32_t>(id)) & mask;
    for (;; place = (place + 1) & mask) {
      Unsigned64 found = __ldcg(tables.keys + place);
      if (found == 0) {
        found = atomicCAS(tables.keys + place, Unsigned64{0}, key);
        if (found == 0) tables.numbers[place] = atomicAdd(tables.count, 1);
      }
      if (found == 0 || found == key) break;
    }
    slot = static_cast<int32_t>(place);
  }
  const int leaderLane = __ffs(static_cast<int>(run.lanes)) - 1;
  slot = __shfl_sync(kAllLanes, slot, leaderLane);
  if (valid) tables.groupOf[i] = slot;
}

__global__ void __launch_bounds__(kThreads) clearGroups(Tables tables) {
  const int64_t pieces = int64_t{*tables.count} * 4, step = int64_t{gridDim.x} * kThreads;
  auto* groups = reinterpret_cast<uint4*>(tables.groups);
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < pieces; i += step) {
    groups[i] = make_uint4(0, 0, 0, 0);
  }
}

// Also turns slots into numbers and writes the efficiency rewards.
__global__ void __launch_bounds__(kThreads) findExtremes(Rollouts rollouts, Tables tables) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const bool valid = i < rollouts.count;
  int32_t group = -1;
  Extremes own{};
  unsigned notFinite = 0;
  if (valid) {
    group = tables.numbers[tables.groupOf[i]];
    tables.groupOf[i] = group;
    const float reward = rollouts.accuracyRewards[i], cost = toolCostOf(rollouts, i);
    rollouts.efficiencyRewards[i] = static_cast<float>(efficiencyReward(cost));
    if (isFinite(reward)) {
      own.accuracyHigh = ordered(reward);
      own.accuracyLow = ~own.accuracyHigh;
    } else {
      notFinite |= kAccuracyNotFinite;
    }
    if (isFinite(cost)) {
      own.costHigh = ordered(cost);
      own.costLow = ~own.costHigh;
    } else if (cost != cost) {
      notFinite |= kEfficiencyNotFinite;
    }
  }
  const Run run(group);
  own.accuracyLow = run.reduce(own.accuracyLow, LargestBits());
  own.accuracyHigh = run.reduce(own.accuracyHigh, LargestBits());
  own.costLow = run.reduce(own.costLow, LargestBits());
  own.costHigh = run.reduce(own.costHigh, LargestBits());
  notFinite = run.reduce(notFinite, EitherBits());
  if (!valid || !run.leader) return;
  Group& target = tables.groups[group];
  // Most members change nothing: a read is cheaper than an atomic, and one that is out of date does no harm.
  const auto raise = [](unsigned* extreme, unsigned value) {
    if (value > __ldcg(extreme)) atomicMax(extreme, value);
  };
  raise(&target.extremes.accuracyLow, own.accuracyLow);
  raise(&target.extremes.accuracyHigh, own.accuracyHigh);
  raise(&target.extremes.costLow, own.costLow);
  raise(&target.extremes.costHigh, own.costHigh);
  if (notFinite) atomicOr(&target.notFinite, notFinite);
}

// A channel's smallest value and its range as a power of two.
struct Range {
  double smallest, extent;
  int exponent;  // extent <= 2^exponent

  __device__ Range(double low, double high) : smallest(low), extent(high - low), exponent(0) {
    if (extent > 0) frexp(extent, &exponent);
  }
};
__device__ Range accuracyRange(const Extremes& extremes) {
  if (extremes.accuracyHigh == 0) return {0, 0};
  return {fromOrdered(~extremes.accuracyLow), fromOrdered(extremes.accuracyHigh)};
}
__device__ Range efficiencyRange(const Extremes& extremes) {
  if (extremes.costHigh == 0) return {0, 0};
  return {efficiencyReward(fromOrdered(extremes.costHigh)), efficiencyReward(fromOrdered(~extremes.costLow))};
}

__device__ Unsigned64 fixedPoint(double unit, int bits) {
  return static_cast<Unsigned64>(__double2ll_rn(ldexp(unit, bits)));
}

__global__ void __launch_bounds__(kThreads) addMembers(Rollouts rollouts, Tables tables) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const bool valid = i < rollouts.count;
  const int32_t group = valid ? tables.groupOf[i] : -1;
  Unsigned64 sums[4] = {};
  bool qualifies = false;
  if (valid) {
    const Extremes extremes = tables.groups[group].extremes;
    const float reward = rollouts.accuracyRewards[i], cost = toolCostOf(rollouts, i);
    qualifies = isFinite(cost);
    const auto add = [&](const Range& range, double value, Unsigned64* sum) {
      if (range.extent == 0) return;
      const double unit = ldexp(value - range.smallest, -range.exponent);
      sum[0] = fixedPoint(unit, rollouts.fractionBits);
      sum[1] = fixedPoint(unit * unit, rollouts.fractionBits);
    };
    if (isFinite(reward)) add(accuracyRange(extremes), reward, sums);
    if (qualifies) add(efficiencyRange(extremes), efficiencyReward(cost), sums + 2);
  }
  const Run run(group);
  const unsigned qualifying = __ballot_sync(kAllLanes, qualifies) & run.lanes;
#pragma unroll
  for (int s = 0; s < 4; ++s) sums[s] = run.reduce(sums[s], Sum());
  if (!valid || !run.leader) return;
  Group& target = tables.groups[group];
  atomicAdd(&target.members,
            (static_cast<Unsigned64>(__popc(qualifying)) << 32) + static_cast<Unsigned64>(__popc(run.lanes)));
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    if (sums[s] != 0) atomicAdd(&target.sums[s], sums[s]);
  }
}

// Mean of the deviations and factor of one channel.
__device__ void normaliserOf(double& mean, double& factor, const Range& range, double members,
                             const Unsigned64* sums, const Rollouts& rollouts) {
  mean = factor = 0;
  if (range.extent == 0 || members < 2) return;
  const double sum = ldexp(static_cast<double>(sums[0]), -rollouts.fractionBits);
  const double squares = ldexp(static_cast<double>(sums[1]), -rollouts.fractionBits);
  const double variance = (squares - sum * sum / members) / (members - 1);
  const double deviation = ldexp(sqrt(variance > 0 ? variance : 0), range.exponent);
  mean = ldexp(sum / members, range.exponent);
  factor = rollouts.scaleByStd ? 1 / (deviation + rollouts.epsilon) : 1;
}

__global__ void __launch_bounds__(kThreads) normalise(Rollouts rollouts, Tables tables) {
  const int64_t count = *tables.count, step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    Group& group = tables.groups[i];
    const double all = static_cast<double>(group.members & 0xffffffffu);
    const double qualifying = static_cast<double>(group.members >> 32);
    Normaliser result;
    normaliserOf(result.accuracyMean, result.accuracyFactor, accuracyRange(group.extremes), all, group.sums,
                 rollouts);
    normaliserOf(result.efficiencyMean, result.efficiencyFactor, efficiencyRange(group.extremes), qualifying,
                 group.sums + 2, rollouts);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (group.notFinite & kAccuracyNotFinite) result.accuracyFactor = nan;
    if (group.notFinite & kEfficiencyNotFinite) result.efficiencyFactor = nan;
    group.normaliser = result;
  }
}

__global__ void __launch_bounds__(kThreads) writeAdvantages(Rollouts rollouts, Tables tables) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= rollouts.count) return;
  const Group& group = tables.groups[tables.groupOf[i]];
  const Normaliser normaliser = group.normaliser;
  const Extremes extremes = group.extremes;
  const float reward = rollouts.accuracyRewards[i], cost = toolCostOf(rollouts, i);
  const auto advantage = [](double value, double smallest, double mean, double factor) {
    return factor == 0 ? 0.0f : static_cast<float>((value - smallest - mean) * factor);
  };
  rollouts.accuracyAdvantages[i] =
      advantage(reward, accuracyRange(extremes).smallest, normaliser.accuracyMean, normaliser.accuracyFactor);
  const bool counts = isFinite(cost) || normaliser.efficiencyFactor != normaliser.efficiencyFactor;
  rollouts.efficiencyAdvantages[i] =
      counts ? advantage(efficiencyReward(cost), efficiencyRange(extremes).smallest,
                         normaliser.efficiencyMean, normaliser.efficiencyFactor)
             : 0.0f;
}

}  // namespace

size_t groupAdvantagesWorkspaceBytes(int64_t rollouts) {
  Workspace workspace;
  tablesIn(workspace, rollouts);
  return workspace.bytes();
}

void groupAdvantages(Stream stream, const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output,
                     void* workspace) {
  if (input.rollouts == 0) return;
  Workspace memory(workspace);
  const Tables tables = tablesIn(memory, input.rollouts);
  int bits = 62;
  for (int64_t rollouts = input.rollouts; rollouts > 0; rollouts /= 2) --bits;
  const Rollouts rollouts{input.rollouts,
                          input.groupIds,
                          input.accuracyRewards,
                          input.correct,
                          input.toolCalls,
                          input.toolCosts,
                          double{input.epsilon},
                          input.scaleByStd,
                          bits,
                          output.efficiencyRewards,
                          output.accuracyAdvantages,
                          output.efficiencyAdvantages};
  const auto blocks = static_cast<unsigned>(blocksOf(input.rollouts, kThreads));
  const unsigned fewBlocks = blocks < kMostBlocks ? blocks : kMostBlocks;
  // Keys and the count of groups lie side by side.
  const auto* end = reinterpret_cast<const char*>(tables.count + 1);
  zeroBytes(tables.keys, static_cast<size_t>(end - reinterpret_cast<const char*>(tables.keys)), stream);
  launch(numberGroups, blocks, kThreads, 0, stream, rollouts, tables);
  launch(clearGroups, fewBlocks, kThreads, 0, stream, tables);
  launch(findExtremes, blocks, kThreads, 0, stream, rollouts, tables);
  launch(addMembers, blocks, kThreads, 0, stream, rollouts, tables);
  launch(normalise, fewBlocks, kThreads, 0, stream, rollouts, tables);
  launch(writeAdvantages, blocks, kThreads, 0, stream, rollouts, tables);
}

// --- The backend ---

void CudaBackend::groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) {
  const Scope scope(*this, "groupAdvantages");
  const int64_t count = input.rollouts;
  if (count == 0) return;
  DeviceArrays arrays(*this);
  GroupAdvantagesInput given = input;
  given.groupIds = arrays.copyOf(input.groupIds, count);
  given.accuracyRewards = arrays.copyOf(input.accuracyRewards, count);
  given.correct = arrays.copyOf(input.correct, count);
  given.toolCalls = arrays.copyOf(input.toolCalls, count);
  given.toolCosts = arrays.copyOf(input.toolCosts, count);
  const GroupAdvantagesOutput found{arrays.make<float>(count), arrays.make<float>(count),
                                    arrays.make<float>(count)};
  cuda::groupAdvantages(stream_, given, found, workspace(groupAdvantagesWorkspaceBytes(count)));
  arrays.download(output.efficiencyRewards, found.efficiencyRewards, count);
  arrays.download(output.accuracyAdvantages, found.accuracyAdvantages, count);
  arrays.download(output.efficiencyAdvantages, found.efficiencyAdvantages, count);
}

}  // namespace hdpo::cuda
