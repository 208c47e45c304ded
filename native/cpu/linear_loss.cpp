// The last projection fused with the policy loss. hidden [M, D], weight [V, D]; a chunk of rows at a time has
// its logits [chunk, V] computed, turned in place into their gradient, and multiplied back:
//   logits = hidden * weight^T      gradHidden = gradLogits * weight      gradWeight += gradLogits^T * hidden
// so that memory is one chunk's logits. With p the softmax of logits / T, H the entropy, c =
// entropyCoefficient * accuracyScale:
//   gradLogits_v = (dL/dlogprob * ([v = target] - p_v) + c * p_v * (log p_v + H)) / T
// An excluded token has p = 0 and gradient 0.
// Each row's arithmetic is its own, whatever the chunk. A logit that is not finite makes the row's entropy
// NaN and with it the loss: the learner skips such a step.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "core/vector_math.h"
#include "cpu/cpu_backend.h"
#include "cpu/matrix_product.h"
#include "cpu/parallel.h"
#include "ops/buffer.h"
#include "ops/token_loss.h"

namespace hdpo {

namespace {

// Beyond this a chunk's logits leave the caches before they are used again, unless so few rows would slow the
// products.
constexpr int64_t kCachedLogitBytes = int64_t{4} << 20;
constexpr int64_t kEfficientRows = 512;

int64_t rowsOfChunk(int64_t rows, int64_t vocabSize, size_t workspaceLimit) {
  const int64_t rowBytes = vocabSize * static_cast<int64_t>(sizeof(float));
  const int64_t most = std::max(int64_t{1}, static_cast<int64_t>(workspaceLimit) / rowBytes);
  const int64_t wanted = std::min(most, std::max(kEfficientRows, kCachedLogitBytes / rowBytes));
  const int64_t chunks = (rows + wanted - 1) / wanted;
  return (rows + chunks - 1) / chunks;  // chunks of one size
}

float largestOf(const float* values, int64_t count) {
  constexpr int64_t kLanes = 64;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  float largest = -std::numeric_limits<float>::infinity();
  for (; i < count; ++i) largest = values[i] > largest ? values[i] : largest;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

struct SoftmaxSums {
  double exponentials = 0;  // sum of e^x_v, x_v = (logit_v - largest) / T
  double weighted = 0;      // sum of e^x_v * x_v
};

// Replaces the logits by their exponentials where `store`. Float32 within a block, float64 over blocks:
// rounding stays that of a thousand additions for any vocabulary.
template <bool store>
SoftmaxSums exponentials(float* logits, int64_t count, float largest, float inverseTemperature) {
  constexpr int64_t kBlock = 1024;
  SoftmaxSums sums;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    float sum = 0, weighted = 0;
#pragma omp simd reduction(+ : sum, weighted)
    for (int64_t v = begin; v < end; ++v) {
      const float exponent = (logits[v] - largest) * inverseTemperature;
      const float exponential = vectorExp(exponent);
      if constexpr (store) logits[v] = exponential;
      sum += exponential;
      weighted += exponential * exponent;
    }
    sums.exponentials += sum;
    sums.weighted += weighted;
  }
  return sums;
}

// The rows of one chunk, what comes out of each, and how.
struct ChunkRows {
  float* logits;  // [rows, V]
  int64_t vocabSize;
  const int32_t* targets;
  const TokenTerms* terms;
  const PolicyLossOptions& options;
  float* logprobs;
  float* entropy;  // may be null
  TokenLoss* losses;
};

// Logits of row `r` become their gradient, if `backward`; otherwise their content is undefined afterwards.
template <bool backward>
void processRow(const ChunkRows& chunk, int64_t r) {
  float* logits = chunk.logits + r * chunk.vocabSize;
  const int64_t count = chunk.vocabSize;
  const int32_t target = chunk.targets[r];
  assert(target >= 0 && target < count);
  const TokenTerms& terms = chunk.terms[r];
  // Finite, so that probability * exponent is 0 and not NaN.
  if (terms.excludedToken >= 0) logits[terms.excludedToken] = -1e30f;
  const float inverseTemperature = 1 / chunk.options.temperature;
  const float bonus = chunk.options.entropyCoefficient * terms.accuracyScale;
  const float largest = largestOf(logits, count), targetLogit = logits[target];
  const bool store = backward && bonus == 0;  // the bonus needs the logits once more
  const SoftmaxSums sums = store ? exponentials<true>(logits, count, largest, inverseTemperature)
                                 : exponentials<false>(logits, count, largest, inverseTemperature);
  const double logSum = std::log(sums.exponentials);
  const double logprob = double{(targetLogit - largest) * inverseTemperature} - logSum;
  const double entropy = logSum - sums.weighted / sums.exponentials;
  chunk.logprobs[r] = static_cast<float>(logprob);
  if (chunk.entropy) chunk.entropy[r] = static_cast<float>(entropy);
  chunk.losses[r] = tokenLoss(terms, chunk.options, logprob, entropy);
  if constexpr (!backward) return;

  const double gradLogprob = chunk.losses[r].gradLogprob;
  const float gradScaled = static_cast<float>(gradLogprob) * inverseTemperature;
  if (store) {
    const float factor = -static_cast<float>(gradLogprob / sums.exponentials) * inverseTemperature;
#pragma omp simd
    for (int64_t v = 0; v < count; ++v) logits[v] *= factor;
    logits[target] =
        -gradScaled * static_cast<float>(std::expm1(logprob));  // 1 - p of a sure token keeps its digits
    return;
  }
  const float bonusScaled = bonus * inverseTemperature;
  const float offset = static_cast<float>(logSum), entropyOfRow = static_cast<float>(entropy);
#pragma omp simd
  for (int64_t v = 0; v < count; ++v) {
    const float logProbability = (logits[v] - largest) * inverseTemperature - offset;
    logits[v] = vectorExp(logProbability) * (bonusScaled * (logProbability + entropyOfRow) - gradScaled);
  }
  logits[target] += gradScaled;
}

}  // namespace

PolicyLossSums CpuBackend::linearLoss(const LinearLossInput& input, const LinearLossOutput& output) {
  const int64_t rows = input.hidden.shape[0], width = input.hidden.shape[1],
                vocabSize = input.weight.shape[0];
  const bool backward = static_cast<bool>(output.gradHidden);
  const bool weightGradient = static_cast<bool>(output.gradWeight);
  assert(input.weight.shape[1] == width && (backward || !weightGradient));
  assert(input.options.temperature > 0);
  PolicyLossSums sums;
  if (rows == 0) return sums;
  const double productFlops =
      2.0 * static_cast<double>(rows) * static_cast<double>(vocabSize) * static_cast<double>(width);
  Profiler::Scope scope(profiler(), "linearLoss", (backward ? weightGradient ? 3 : 2 : 1) * productFlops);
  const auto product = [this](const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                              bool transposeB, float beta, double flops) {
    Profiler::Scope productScope(profiler(), "linearLoss/matmul", flops);
    products_.multiply(out, a, transposeA, b, transposeB, beta);
  };

  const int64_t chunkRows = rowsOfChunk(rows, vocabSize, input.workspaceLimit);
  // The backend's own memory: fresh pages for every call would cost as much as a product.
  const size_t logitBytes = static_cast<size_t>(chunkRows * vocabSize) * sizeof(float);
  scratch_.reserve(*this, logitBytes);
  std::vector<TokenLoss> losses(static_cast<size_t>(chunkRows));
  for (int64_t begin = 0; begin < rows; begin += chunkRows) {
    const int64_t end = std::min(rows, begin + chunkRows), count = end - begin;
    const double flops = productFlops * static_cast<double>(count) / static_cast<double>(rows);
    const Tensor logits(scratch_.f32(), {count, vocabSize}), hidden = input.hidden.rows(begin, end);
    product(logits, hidden, false, input.weight, true, 0, flops);
    const ChunkRows chunk{logits.f32(),
                          vocabSize,
                          input.targets + begin,
                          input.terms + begin,
                          input.options,
                          output.logprobs + begin,
                          output.entropy ? output.entropy + begin : nullptr,
                          losses.data()};
    const auto process = backward ? processRow<true> : processRow<false>;
#pragma omp parallel for schedule(static) num_threads(threads_) if (count * vocabSize > kParallelElements)
    for (int64_t r = 0; r < count; ++r) process(chunk, r);
    for (int64_t r = 0; r < count; ++r) addToken(sums, losses[static_cast<size_t>(r)]);
    if (!backward) continue;
    product(output.gradHidden.rows(begin, end), logits, false, input.weight, false, 0, flops);
    if (weightGradient) product(output.gradWeight, logits, true, hidden, false, 1, flops);
  }
  sums.workspaceBytes = logitBytes + losses.size() * sizeof(TokenLoss);
  return sums;
}

}  // namespace hdpo
