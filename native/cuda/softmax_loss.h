// From rows of logits to the policy loss and back: what policy_loss.cu and linear_loss.cu share. One block
// does one span of the vocabulary for one token; the softmax is online, so that each pass reads the logits
// once.
//   softmaxSpans     logits -> maximum and sums of every span
//   tokenLosses      the spans of a token together -> its logprob, entropy, loss, and what its gradient needs
//   logitGradients   logits -> their gradients (equations: native/cpu/linear_loss.cpp)
//   sumTokenLosses   losses of all tokens -> PolicyLossSums, in an order that their number alone decides
#pragma once

#include <limits>

#include "cuda/element.h"
#include "cuda/reduce.h"
#include "ops/token_loss.h"

namespace hdpo::cuda {

constexpr int kLossThreads = 256;
constexpr int64_t kSpan = 16384;  // tokens of the vocabulary that one block takes
// Logits a thread has in flight, four at a time.
constexpr int kLossLoads = 4;

inline int64_t spansOf(int64_t vocabSize) { return blocksOf(vocabSize, kSpan); }

// Sums over v of e^x and e^x * x with x = (logit_v - largest) / T.
struct SoftmaxSpan {
  float largest, exponentials, weighted;
};

// One token's way from logits to gradients.
struct RowGradient {
  float largest, logSum, entropy;
  float gradScaled, bonusScaled;  // dL/dlogprob / T; entropyCoefficient * accuracyScale / T
  float targetGradient;           // kept apart: 1 - p of a sure token keeps its digits
  int32_t target, excluded;       // excluded -1: none
  int32_t takesPart;              // 0: the gradient is 0
};

struct LossRows {
  int64_t rows, vocabSize;
  const float* logits;      // [rows, V]
  const int32_t* targets;   // [rows]
  const uint8_t* mask;      // [rows] or null: all take part
  const TokenTerms* terms;  // [rows]
  bool plain;               // policyLoss: a logit of -infinity is a token that cannot be drawn
  PolicyLossOptions options;
  SoftmaxSpan* spans;      // [rows, spans]
  RowGradient* gradients;  // [rows]
  TokenLoss* losses;       // [rows]
  float* logprobs;         // [rows]
  float* entropy;          // [rows] or null
  float* gradLogprobs;     // [rows] or null
};

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

class OnlineSoftmax {
 public:
  __device__ explicit OnlineSoftmax(float inverseTemperature) : inverseTemperature_(inverseTemperature) {}

  template <int count>
  __device__ void add(const float (&logits)[count], bool plain) {
    float top = largest_;
#pragma unroll
    for (int i = 0; i < count; ++i) top = logits[i] > top ? logits[i] : top;
    if (top > largest_) moveTo(top);
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const float exponent = (logits[i] - largest_) * inverseTemperature_;
      const float exponential = __expf(exponent);
      if (plain && logits[i] == kMinusInfinity) continue;
      exponentials_ += exponential;
      weighted_ += exponential * exponent;
    }
  }
  __device__ float largest() const { return largest_; }
  // The sums with all exponents relative to `largest`, where that is larger than this one's maximum.
  __device__ SoftmaxSpan relativeTo(float largest) {
    if (largest > largest_) moveTo(largest);
    return {largest, exponentials_, weighted_};
  }

 private:
  __device__ void moveTo(float top) {
    const float shift = (largest_ - top) * inverseTemperature_, factor = __expf(shift);
    weighted_ = exponentials_ == 0 ? 0 : factor * (weighted_ + shift * exponentials_);
    exponentials_ *= factor;
    largest_ = top;
  }
  float inverseTemperature_;
  float largest_ = kMinusInfinity, exponentials_ = 0, weighted_ = 0;
};

// vectors: rows begin at 16-byte boundaries.
template <bool vectors>
__global__ void __launch_bounds__(kLossThreads) softmaxSpans(LossRows rows) {
  float* scratch = sharedMemory<float>();
  const int64_t spans = (rows.vocabSize + kSpan - 1) / kSpan;
  const int64_t row = blockIdx.x / spans, span = blockIdx.x % spans;
  const float* logits = rows.logits + row * rows.vocabSize;
  const int64_t begin = span * kSpan;
  const int64_t end = begin + kSpan < rows.vocabSize ? begin + kSpan : rows.vocabSize;
  const int32_t excluded = rows.plain ? -1 : rows.terms[row].excludedToken;
  OnlineSoftmax softmax(1 / rows.options.temperature);
  const auto valueAt = [&](int64_t v, float logit) { return v == excluded ? -1e30f : logit; };
  if constexpr (vectors) {
    constexpr int64_t kStep = int64_t{4} * kLossThreads;
    int64_t v = begin + 4 * threadIdx.x;
    for (; v + (kLossLoads - 1) * kStep < end; v += kLossLoads * kStep) {
      float values[4 * kLossLoads];
#pragma unroll
      for (int load = 0; load < kLossLoads; ++load) {
        const Pack<float> pack = loadPack(logits + v + load * kStep);
#pragma unroll
        for (int i = 0; i < 4; ++i) values[4 * load + i] = pack.values[i];
      }
      if (excluded >= begin && excluded < end) {
#pragma unroll
        for (int i = 0; i < 4 * kLossLoads; ++i) {
          values[i] = valueAt(v + i / 4 * kStep + i % 4, values[i]);
        }
      }
      softmax.add(values, rows.plain);
    }
    for (; v < end; v += kStep) {
      const Pack<float> pack = loadPack(logits + v);
      float values[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) values[i] = valueAt(v + i, pack.values[i]);
      softmax.add(values, rows.plain);
    }
  } else {
    for (int64_t v = begin + threadIdx.x; v < end; v += kLossThreads) {
      const float value[1] = {valueAt(v, logits[v])};
      softmax.add(value, rows.plain);
    }
  }
  const float largest = blockReduce(softmax.largest(), scratch, Largest());
  SoftmaxSpan result = softmax.relativeTo(largest);
  result.exponentials = blockSum(result.exponentials, scratch);
  result.weighted = blockSum(result.weighted, scratch);
  if (threadIdx.x == 0) rows.spans[blockIdx.x] = result;
}

static __global__ void __launch_bounds__(kLossThreads) tokenLosses(LossRows rows) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= rows.rows) return;
  const int64_t spans = (rows.vocabSize + kSpan - 1) / kSpan;
  const SoftmaxSpan* span = rows.spans + row * spans;
  const double inverseTemperature = 1 / static_cast<double>(rows.options.temperature);
  float largest = span[0].largest;
  for (int64_t s = 1; s < spans; ++s) largest = span[s].largest > largest ? span[s].largest : largest;
  double exponentials = 0, weighted = 0;
  for (int64_t s = 0; s < spans; ++s) {
    if (span[s].largest == kMinusInfinity && rows.plain) continue;
    const double shift = (static_cast<double>(span[s].largest) - largest) * inverseTemperature;
    const double factor = exp(shift);
    exponentials += factor * span[s].exponentials;
    weighted += factor == 0 ? 0 : factor * (span[s].weighted + shift * span[s].exponentials);
  }
  const double logSum = log(exponentials), entropy = logSum - weighted / exponentials;
  const TokenTerms terms = rows.terms[row];
  const int32_t target = rows.targets[row], excluded = rows.plain ? -1 : terms.excludedToken;
  const float logit = target == excluded ? -1e30f : rows.logits[row * rows.vocabSize + target];
  const double logprob = (static_cast<double>(logit) - largest) * inverseTemperature - logSum;
  const bool takesPart = !rows.mask || rows.mask[row] != 0;
  const TokenLoss loss = takesPart ? tokenLoss(terms, rows.options, logprob, entropy) : TokenLoss();
  rows.losses[row] = loss;
  rows.logprobs[row] = static_cast<float>(logprob);
  if (rows.entropy) rows.entropy[row] = static_cast<float>(entropy);
  if (rows.gradLogprobs) rows.gradLogprobs[row] = static_cast<float>(loss.gradLogprob);

  const double bonus = static_cast<double>(rows.options.entropyCoefficient) * terms.accuracyScale;
  const double probability = exp(logprob);
  const double bonusPart = bonus == 0 || probability == 0 ? 0 : bonus * probability * (logprob + entropy);
  RowGradient gradient;
  gradient.largest = largest;
  gradient.logSum = static_cast<float>(logSum);
  gradient.entropy = static_cast<float>(entropy);
  gradient.gradScaled = static_cast<float>(loss.gradLogprob * inverseTemperature);
  gradient.bonusScaled = static_cast<float>(bonus * inverseTemperature);
  gradient.targetGradient =
      static_cast<float>((bonusPart - loss.gradLogprob * expm1(logprob)) * inverseTemperature);
  gradient.target = target;
  gradient.excluded = excluded;
  gradient.takesPart = takesPart;
  rows.gradients[row] = gradient;
}

__device__ inline float logitGradient(const RowGradient& row, float inverseTemperature, int64_t v,
                                      float logit) {
  if (v == row.target) return row.targetGradient;
  const float logProbability = (logit - row.largest) * inverseTemperature - row.logSum;
  const float probability = __expf(logProbability);
  if (probability == 0 || v == row.excluded) return 0;
  return probability * (row.bonusScaled * (logProbability + row.entropy) - row.gradScaled);
}

// out [rows, V], float or BFloat16, may be the logits where it is float.
template <typename T, bool vectors>
__global__ void __launch_bounds__(kLossThreads) logitGradients(T* out, LossRows rows) {
  const int64_t spans = (rows.vocabSize + kSpan - 1) / kSpan;
  const int64_t row = blockIdx.x / spans, span = blockIdx.x % spans;
  const float* logits = rows.logits + row * rows.vocabSize;
  T* target = out + row * rows.vocabSize;
  const int64_t begin = span * kSpan;
  const int64_t end = begin + kSpan < rows.vocabSize ? begin + kSpan : rows.vocabSize;
  const RowGradient gradient = rows.gradients[row];
  const float inverseTemperature = 1 / rows.options.temperature;
  if (!gradient.takesPart) {
    for (int64_t v = begin + threadIdx.x; v < end; v += kLossThreads) target[v] = fromFloat<T>(0);
    return;
  }
  if constexpr (vectors) {
    constexpr int kCount = kPack<T>;  // 4 or 8 logits for one 16-byte store
    constexpr int64_t kStep = int64_t{kCount} * kLossThreads;
    for (int64_t v = begin + kCount * threadIdx.x; v < end; v += kStep) {
      Pack<float> in[kCount / 4];
#pragma unroll
      for (int p = 0; p < kCount / 4; ++p) in[p] = loadPack(logits + v + 4 * p);
      Pack<T> result;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        result.values[i] =
            fromFloat<T>(logitGradient(gradient, inverseTemperature, v + i, in[i / 4].values[i % 4]));
      }
      storePack(target + v, result);
    }
  } else {
    for (int64_t v = begin + threadIdx.x; v < end; v += kLossThreads) {
      target[v] = fromFloat<T>(logitGradient(gradient, inverseTemperature, v, logits[v]));
    }
  }
}

// One block. mask [tokens] or null.
static __global__ void __launch_bounds__(kLossThreads)
    sumTokenLosses(PolicyLossSums* result, const TokenLoss* losses, const uint8_t* mask, int64_t tokens) {
  double* scratch = sharedMemory<double>();
  PolicyLossSums own;
  const int64_t share = (tokens + kLossThreads - 1) / kLossThreads;
  const int64_t begin = share * threadIdx.x, end = begin + share < tokens ? begin + share : tokens;
  for (int64_t t = begin; t < end; ++t) {
    if (!mask || mask[t]) addToken(own, losses[t]);
  }
  PolicyLossSums sums;
  sums.loss = blockSum(own.loss, scratch);
  sums.accuracyLoss = blockSum(own.accuracyLoss, scratch);
  sums.efficiencyLoss = blockSum(own.efficiencyLoss, scratch);
  sums.kl = blockSum(own.kl, scratch);
  sums.supervisedLoss = blockSum(own.supervisedLoss, scratch);
  sums.entropy = blockSum(own.entropy, scratch);
  sums.logprobDifference = blockReduce(own.logprobDifference, scratch, Largest());
  const auto count = [&](int64_t value) {
    return static_cast<int64_t>(blockSum(static_cast<double>(value), scratch));
  };
  sums.tokens = count(own.tokens);
  sums.clippedLow = count(own.clippedLow);
  sums.clippedHigh = count(own.clippedHigh);
  sums.dualClipped = count(own.dualClipped);
  if (threadIdx.x == 0) *result = sums;
}

inline size_t lossSharedBytes() { return kLossThreads / kWarp * sizeof(double); }

// logprobs, losses and what logitGradients needs, from rows.logits.
inline void forwardLoss(Stream stream, const LossRows& rows) {
  const auto blocks = static_cast<unsigned>(rows.rows * spansOf(rows.vocabSize));
  const auto spans = inPacks<float>(rows.vocabSize, rows.logits) ? softmaxSpans<true> : softmaxSpans<false>;
  launch(spans, blocks, kLossThreads, lossSharedBytes(), stream, rows);
  constexpr int kFewThreads = 64;  // spread over the processors: each has long float64 work
  launch(tokenLosses, static_cast<unsigned>(blocksOf(rows.rows, kFewThreads)), kFewThreads, 0, stream, rows);
}

template <typename T>
void backwardLoss(Stream stream, T* gradLogits, const LossRows& rows) {
  const auto blocks = static_cast<unsigned>(rows.rows * spansOf(rows.vocabSize));
  const bool vectors =
      inPacks<T>(rows.vocabSize, gradLogits, rows.logits) && inPacks<float>(rows.vocabSize, rows.logits);
  const auto kernel = vectors ? logitGradients<T, true> : logitGradients<T, false>;
  launch(kernel, blocks, kLossThreads, 0, stream, gradLogits, rows);
}

inline void sumLosses(Stream stream, PolicyLossSums* sums, const TokenLoss* losses, const uint8_t* mask,
                      int64_t tokens) {
  launch(sumTokenLosses, 1, kLossThreads, lossSharedBytes(), stream, sums, losses, mask, tokens);
}

}  // namespace hdpo::cuda
