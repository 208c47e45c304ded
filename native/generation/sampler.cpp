#include "generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "core/vector_math.h"

namespace hdpo {

namespace {

// Weights are summed in float32 inside a block and in float64 over the blocks. A draw skips whole blocks.
constexpr int64_t kBlock = 256;
constexpr int64_t kLanes = 16;
// Fewer logits than this are handled by the calling thread.
constexpr int64_t kParallelLogits = int64_t{1} << 12;
// How many candidates top-p sorts at first, and the factor by which this grows.
constexpr int64_t kFirstSorted = 64, kSortedGrowth = 8;

struct Candidate {
  float weight;
  int32_t token;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.token < b.token);
}

// One thread's memory, kept between calls.
struct Scratch {
  std::vector<float> weights, biased;
  std::vector<double> blockSums;
  std::vector<Candidate> candidates;
};

struct Extent {
  float largest = 0;
  bool finite = true;
};

Extent extentOf(const float* logits, int64_t count) {
  float largest = -std::numeric_limits<float>::infinity();
  int32_t notFinite = 0;
#pragma omp simd reduction(max : largest) reduction(| : notFinite)
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, logits[i]);
    notFinite |= std::abs(logits[i]) <= std::numeric_limits<float>::max() ? 0 : 1;
  }
  return {largest, notFinite == 0};
}

// weights[i] = exp((logits[i] - largest) / temperature) for i in [begin, end).
void exponentials(float* weights, const float* logits, int64_t begin, int64_t end, float largest,
                  float temperature) {
  if (temperature == 1) {  // gives the same bits; the division would take half of the time
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) weights[i] = vectorExp(logits[i] - largest);
  } else {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) weights[i] = vectorExp((logits[i] - largest) / temperature);
  }
}

// weights[i] = exp((logits[i] - largest) / temperature), with their sums per block; returns the sum of all.
double softmaxWeights(const float* logits, int64_t count, float largest, float temperature,
                      Scratch& scratch) {
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  scratch.weights.resize(static_cast<size_t>(blocks * kBlock));
  scratch.blockSums.resize(static_cast<size_t>(blocks));
  float* weights = scratch.weights.data();
  double total = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlock, end = std::min(count, begin + kBlock);
    exponentials(weights, logits, begin, end, largest, temperature);
    std::fill(weights + end, weights + begin + kBlock, 0.0f);
    float lanes[kLanes] = {};
    for (int64_t i = begin; i < begin + kBlock; i += kLanes) {
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += weights[i + lane];
    }
    double sum = 0;
    for (const float lane : lanes) sum += lane;
    scratch.blockSums[static_cast<size_t>(block)] = sum;
    total += sum;
  }
  return total;
}

// The first token whose cumulative weight exceeds `target`. If rounding keeps it from ever doing so, this is
// the last token that has any weight.
int32_t tokenAt(const Scratch& scratch, double target) {
  const size_t blocks = scratch.blockSums.size();
  double before = 0;
  size_t block = 0;
  while (block + 1 < blocks && before + scratch.blockSums[block] <= target)
    before += scratch.blockSums[block++];
  int32_t last = -1;
  for (size_t b = block; b < blocks; ++b) {
    for (size_t i = b * kBlock; i < (b + 1) * kBlock; ++i) {
      const float weight = scratch.weights[i];
      if (weight <= 0) continue;
      before += weight;
      last = static_cast<int32_t>(i);
      if (before > target) return last;
    }
  }
  if (last >= 0) return last;
  // After the rounding of the block sums only zero weights were left: take the last token that has any.
  for (size_t i = scratch.weights.size(); i-- > 0;) {
    if (scratch.weights[i] > 0) return static_cast<int32_t>(i);
  }
  return -1;
}

void keepTopK(std::vector<Candidate>& candidates, int32_t topK) {
  if (topK == 0 || candidates.size() <= static_cast<size_t>(topK)) return;
  std::nth_element(candidates.begin(), candidates.begin() + topK, candidates.end(), likelier);
  candidates.resize(static_cast<size_t>(topK));
}

// The fewest likeliest candidates whose weights reach the share topP.
void keepTopP(std::vector<Candidate>& candidates, float topP) {
  if (topP >= 1) return;
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  const double wanted = topP * total;
  const auto count = static_cast<int64_t>(candidates.size());
  double reached = 0;
  int64_t kept = 0;
  for (int64_t sorted = std::min(kFirstSorted, count);; sorted = std::min(sorted * kSortedGrowth, count)) {
    std::partial_sort(candidates.begin() + kept, candidates.begin() + sorted, candidates.end(), likelier);
    while (kept < sorted && reached < wanted) reached += candidates[static_cast<size_t>(kept++)].weight;
    if (reached >= wanted || sorted == count) break;
  }
  candidates.resize(static_cast<size_t>(kept));
}

// Weights are relative to the likeliest token, which has 1.
int32_t drawFiltered(const SamplingOptions& options, double draw, Scratch& scratch, int64_t vocabSize) {
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  for (int64_t i = 0; i < vocabSize; ++i) {
    const float weight = scratch.weights[static_cast<size_t>(i)];
    if (weight > 0) candidates.push_back({weight, static_cast<int32_t>(i)});
  }
  keepTopK(candidates, options.topK);
  keepTopP(candidates, options.topP);
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.weight < options.minP; });
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  double cumulative = 0;
  for (const Candidate& candidate : candidates) {
    cumulative += candidate.weight;
    if (cumulative > draw * total) return candidate.token;
  }
  return candidates.back().token;
}

const float* applyBias(const float* logits, int64_t vocabSize, const SamplingOptions& options,
                       Scratch& scratch) {
  scratch.biased.assign(logits, logits + vocabSize);
  for (const auto& [token, bias] : options.logitBias) scratch.biased[static_cast<size_t>(token)] += bias;
  return scratch.biased.data();
}

SampledToken sampleToken(const SamplingRow& row, int64_t vocabSize, Scratch& scratch) {
  const SamplingOptions& options = *row.options;
  const float* logits = row.logits;
  Extent extent = extentOf(logits, vocabSize);
  if (!extent.finite) return {SampledToken::Status::NonFinite, -1, 0};
  const bool greedy = options.temperature == 0;
  const float temperature = greedy ? 1.0f : options.temperature;
  const float plainLargest = extent.largest;
  double total = softmaxWeights(logits, vocabSize, plainLargest, temperature, scratch);
  const double logTotal = std::log(total);

  const float* biased = logits;
  if (!options.logitBias.empty()) {
    biased = applyBias(logits, vocabSize, options, scratch);
    extent = extentOf(biased, vocabSize);
    if (extent.largest == -std::numeric_limits<float>::infinity()) {
      return {SampledToken::Status::NothingAllowed, -1, 0};
    }
    if (!greedy) total = softmaxWeights(biased, vocabSize, extent.largest, temperature, scratch);
  }

  const double draw = samplingDraw(options.seed, row.position);
  const bool filtered = options.topK > 0 || options.topP < 1 || options.minP > 0;
  int32_t token;
  if (greedy) {
    token = static_cast<int32_t>(std::find(biased, biased + vocabSize, extent.largest) - biased);
  } else if (filtered) {
    token = drawFiltered(options, draw, scratch, vocabSize);
  } else {
    token = tokenAt(scratch, draw * total);
  }
  const double logit = (static_cast<double>(logits[token]) - plainLargest) / temperature;
  return {SampledToken::Status::Drawn, token, static_cast<float>(logit - logTotal)};
}

std::string textOf(double value) {
  std::string text = std::to_string(value);
  return text;
}

}  // namespace

void checkSamplingOptions(const SamplingOptions& options, int64_t vocabSize) {
  const auto check = [](bool valid, const char* name, const std::string& allowed, double given) {
    require(valid, "ERR_ARGUMENT", std::string(name) + " must be " + allowed + ", but is " + textOf(given));
  };
  const auto checkToken = [&](const char* name, int32_t token) {
    check(token >= 0 && token < vocabSize, name,
          "made of tokens below the vocabulary's size of " + std::to_string(vocabSize), token);
  };
  check(options.maxTokens >= 1, "maxTokens", "at least 1", static_cast<double>(options.maxTokens));
  check(std::isfinite(options.temperature) && options.temperature >= 0, "temperature",
        "a finite number of at least 0", options.temperature);
  check(options.topP > 0 && options.topP <= 1, "topP", "above 0 and at most 1", options.topP);
  check(options.minP >= 0 && options.minP <= 1, "minP", "between 0 and 1", options.minP);
  check(options.topK >= 0, "topK", "at least 0", options.topK);
  for (const int32_t token : options.stopTokens) checkToken("stopTokens", token);
  for (const std::string& text : options.stopStrings) {
    require(!text.empty(), "ERR_ARGUMENT", "stopStrings must not hold an empty string");
  }
  for (const auto& [token, bias] : options.logitBias) {
    checkToken("logitBias", token);
    check(bias < std::numeric_limits<float>::infinity(), "logitBias", "finite or -infinity", bias);
  }
}

void sampleTokens(const SamplingRow* rows, int64_t count, int64_t vocabSize, SampledToken* tokens) {
#pragma omp parallel for schedule(static) if (count * vocabSize > kParallelLogits)
  for (int64_t i = 0; i < count; ++i) {
    thread_local Scratch scratch;
    tokens[i] = sampleToken(rows[i], vocabSize, scratch);
  }
}

}  // namespace hdpo
