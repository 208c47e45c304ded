// Draws tokens from logits [rows, V], one block per row. The steps, the random numbers and the order of the
// sums are those of native/generation/sampler.cpp: weights e^((logit - largest) / T) are added in float32 in
// 16 lanes of a piece of 256 tokens, then in float64. The logits are read several times, from the second time
// on from the cache, and nothing as large is written.
//
// top-k and top-p look for the key down to which tokens are kept. A key is the bits of a weight, which order
// as weights do. They find it digit by digit, with the count and mass of the tokens per digit. Masses are
// integers in units of 2^-massBits, so that the order of atomics does not show. Of the tokens with the last
// key, only the first few in the order of the vocabulary may be kept.
#include <limits>
#include <map>
#include <vector>

#include "core/random.h"
#include "core/vector_math.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/reduce.h"
#include "cuda/sampler.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 1024;
constexpr int kPiece = 256, kLanes = 16;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr int kDrawn = 0, kNonFinite = 1, kNothingAllowed = 2;

using Unsigned64 = unsigned long long;  // the type that CUDA's atomics take

constexpr int kDigits = 4, kBins = 256;
// Weights are at most 1, whose bits are 0x3F800000: 31 bits, in digits of 8, 8, 8 and 7.
__device__ int shiftOf(int digit) { return digit == 3 ? 0 : 23 - 8 * digit; }
__device__ unsigned digitOf(unsigned key, int digit) {
  return key >> shiftOf(digit) & (digit == 3 ? 127u : 255u);
}
__device__ unsigned prefixOf(unsigned key, int digit) { return digit == 0 ? 0 : key >> shiftOf(digit - 1); }

// Which tokens are kept: those with a larger key than `key`, and the first `ties` of those with this key.
struct Kept {
  unsigned key;
  unsigned ties;
};

struct Shared {
  double total;   // sum of the kept weights
  double before;  // sum of the weights before the piece in which the drawn token lies
  int64_t piece;
  unsigned tiesBefore;
  int32_t token, lastToken;
  Kept kept;
  Unsigned64 above;  // count or mass of the keys above the digits so far
  float original;
  int found;
  float largest[kThreads / kWarp];
  double sums[kThreads / kWarp];
  unsigned counts[kBins];
  Unsigned64 masses[kBins];
  float weights[kPiece];
};

struct Vocabulary {
  float* logits;
  int64_t size, pieces;
  float largest, temperature;

  __device__ float weight(int64_t token) const { return vectorExp((logits[token] - largest) / temperature); }
};

// The shared memory behind Shared holds, per piece, the sum of its weights and the number of its tokens with
// the last kept key.
__device__ double* pieceSums(Shared* shared) { return reinterpret_cast<double*>(shared + 1); }
__device__ unsigned* pieceTies(Shared* shared, int64_t pieces) {
  return reinterpret_cast<unsigned*>(pieceSums(shared) + pieces);
}

__device__ float largestLogit(const Vocabulary& vocabulary, Shared* shared, bool& finite) {
  float largest = kMinusInfinity;
  bool own = true;
  for (int64_t v = threadIdx.x; v < vocabulary.size; v += kThreads) {
    const float logit = vocabulary.logits[v];
    largest = logit > largest ? logit : largest;
    own = own && (__float_as_uint(logit) & 0x7f800000u) != 0x7f800000u;
  }
  finite = blockReduce(own ? 0.0f : 1.0f, shared->largest, Largest()) == 0;
  return blockReduce(largest, shared->largest, Largest());
}

// Writes the sum of every piece's weights to pieceSums and returns the sum of all. With `kept`, it adds only
// tokens with a larger key, and writes the numbers of tokens with this key to pieceTies.
__device__ double sumPieces(const Vocabulary& vocabulary, Shared* shared, const Kept* kept) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  double* sums = pieceSums(shared);
  unsigned* ties = pieceTies(shared, vocabulary.pieces);
  const int64_t step = kThreads / kLanes;
  // Whole warps go through the loop.
  for (int64_t first = 0; first < vocabulary.pieces; first += step) {
    const int64_t piece = first + threadIdx.x / kLanes;
    float sum = 0;
    unsigned equal = 0;
    if (piece < vocabulary.pieces) {
#pragma unroll 4
      for (int i = lane; i < kPiece; i += kLanes) {
        const int64_t token = piece * kPiece + i;
        if (token >= vocabulary.size) break;
        const float weight = vocabulary.weight(token);
        const unsigned key = __float_as_uint(weight);
        equal += kept && key == kept->key;
        if (!kept || key > kept->key) sum += weight;
      }
    }
    double total = 0;
    unsigned tied = 0;
    for (int l = 0; l < kLanes; ++l) {
      const int source = static_cast<int>(threadIdx.x) % kWarp / kLanes * kLanes + l;
      total += static_cast<double>(__shfl_sync(kAllLanes, sum, source));
      tied += __shfl_sync(kAllLanes, equal, source);
    }
    if (lane == 0 && piece < vocabulary.pieces) {
      sums[piece] = total;
      ties[piece] = tied;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double total = 0;
    for (int64_t piece = 0; piece < vocabulary.pieces; ++piece) total += sums[piece];
    shared->total = total;
  }
  __syncthreads();
  return shared->total;
}

__device__ Unsigned64 massOf(float weight, int massBits) {
  return static_cast<Unsigned64>(__double2ll_rn(ldexp(static_cast<double>(weight), massBits)));
}

// Counts the tokens of `within` whose key begins with `prefix`, and their masses, per next digit.
__device__ void countDigits(const Vocabulary& vocabulary, Shared* shared, const Kept& within, unsigned prefix,
                            int digit, int massBits) {
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) {
    shared->counts[bin] = 0;
    shared->masses[bin] = 0;
  }
  __syncthreads();
  for (int64_t v = threadIdx.x; v < vocabulary.size; v += kThreads) {
    const float weight = vocabulary.weight(v);
    const unsigned key = __float_as_uint(weight);
    if (weight <= 0 || key <= within.key || prefixOf(key, digit) != prefix) continue;
    atomicAdd(&shared->counts[digitOf(key, digit)], 1u);
    atomicAdd(&shared->masses[digitOf(key, digit)], massOf(weight, massBits));
  }
  if (threadIdx.x == 0 && within.key > 0 && within.ties > 0 && prefixOf(within.key, digit) == prefix) {
    const float weight = __uint_as_float(within.key);
    atomicAdd(&shared->counts[digitOf(within.key, digit)], within.ties);
    atomicAdd(&shared->masses[digitOf(within.key, digit)], within.ties * massOf(weight, massBits));
  }
  __syncthreads();
}

// The fewest likeliest tokens of `within` whose number (byCount) or mass reaches `wanted`, which all of them
// together reach.
__device__ Kept likeliest(const Vocabulary& vocabulary, Shared* shared, const Kept& within, bool byCount,
                          double wanted, int massBits) {
  unsigned prefix = 0;
  if (threadIdx.x == 0) shared->above = 0;
  for (int digit = 0; digit < kDigits; ++digit) {
    countDigits(vocabulary, shared, within, prefix, digit, massBits);
    if (threadIdx.x == 0) {
      int bin = kBins - 1;
      const auto amount = [&](int b) { return byCount ? Unsigned64{shared->counts[b]} : shared->masses[b]; };
      for (; bin > 0; --bin) {
        if (amount(bin) > 0 && static_cast<double>(shared->above + amount(bin)) >= wanted) break;
        shared->above += amount(bin);
      }
      shared->kept.key = prefix << (digit == 3 ? 7 : 8) | static_cast<unsigned>(bin);
      shared->kept.ties = shared->counts[bin];
    }
    __syncthreads();
    prefix = shared->kept.key;
  }
  if (threadIdx.x == 0) {
    const double each =
        byCount ? 1 : static_cast<double>(massOf(__uint_as_float(shared->kept.key), massBits));
    const double needed = ceil((wanted - static_cast<double>(shared->above)) / each);
    if (needed < shared->kept.ties) shared->kept.ties = needed < 1 ? 1u : static_cast<unsigned>(needed);
  }
  __syncthreads();
  const Kept kept = shared->kept;
  __syncthreads();
  return kept;
}

// Number and mass of the tokens with a weight, in counts[0] and masses[0].
__device__ void countAll(const Vocabulary& vocabulary, Shared* shared, const Kept& within, int massBits,
                         double& count, double& mass) {
  Unsigned64 ownMass = 0;
  double own = 0;
  for (int64_t v = threadIdx.x; v < vocabulary.size; v += kThreads) {
    const float weight = vocabulary.weight(v);
    if (weight <= 0 || __float_as_uint(weight) <= within.key) continue;
    own += 1;
    ownMass += massOf(weight, massBits);
  }
  count = blockSum(own, shared->sums) + within.ties;
  auto* scratch = reinterpret_cast<Unsigned64*>(shared->sums);
  mass = static_cast<double>(blockSum(ownMass, scratch) +
                             within.ties * massOf(__uint_as_float(within.key), massBits));
}

__device__ Kept filter(const Vocabulary& vocabulary, Shared* shared, const DeviceSamplingRow& row) {
  int massBits = 63;  // masses are at most 1 each
  for (int64_t size = vocabulary.size; size > 0; size /= 2) --massBits;
  massBits = massBits > 50 ? 50 : massBits;
  Kept kept{0, 0};
  double count, mass;
  countAll(vocabulary, shared, kept, massBits, count, mass);
  if (row.topK > 0 && count > row.topK) {
    kept = likeliest(vocabulary, shared, kept, true, row.topK, massBits);
    countAll(vocabulary, shared, kept, massBits, count, mass);
  }
  if (row.topP < 1)
    kept = likeliest(vocabulary, shared, kept, false, static_cast<double>(row.topP) * mass, massBits);
  // Keeps the tokens that are at least this likely: those with a key above the one before `least`.
  const unsigned least = __float_as_uint(row.minP);
  if (row.minP > 0 && least > kept.key) kept = {least - 1, 0};
  return kept;
}

// The token at which the cumulative weight of the kept tokens exceeds `target`, or the last kept one where
// rounding keeps it from doing so. Null `kept` means all tokens with a weight.
__device__ int32_t tokenAt(const Vocabulary& vocabulary, Shared* shared, const Kept* kept, double target) {
  const double* sums = pieceSums(shared);
  const unsigned* ties = pieceTies(shared, vocabulary.pieces);
  const double tieWeight = kept ? static_cast<double>(__uint_as_float(kept->key)) : 0;
  const auto tiesTaken = [&](unsigned before, unsigned here) {
    const unsigned left = kept && kept->ties > before ? kept->ties - before : 0;
    return here < left ? here : left;
  };
  if (threadIdx.x == 0) {
    double before = 0;
    unsigned tiesBefore = 0;
    int64_t piece = 0;
    for (; piece + 1 < vocabulary.pieces; ++piece) {
      const double sum = sums[piece] + tieWeight * tiesTaken(tiesBefore, ties[piece]);
      if (before + sum > target) break;
      before += sum;
      tiesBefore += ties[piece];
    }
    shared->before = before;
    shared->tiesBefore = tiesBefore;
    shared->piece = piece;
    shared->token = shared->lastToken = -1;
    shared->found = 0;
  }
  __syncthreads();
  for (int64_t piece = shared->piece; piece < vocabulary.pieces; ++piece) {
    const int64_t own = piece * kPiece + threadIdx.x;
    if (threadIdx.x < kPiece)
      shared->weights[threadIdx.x] = own < vocabulary.size ? vocabulary.weight(own) : 0.0f;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int i = 0; i < kPiece && !shared->found; ++i) {
        const float weight = shared->weights[i];
        const unsigned key = __float_as_uint(weight);
        if (weight <= 0 || (kept && key < kept->key)) continue;
        if (kept && key == kept->key && shared->tiesBefore++ >= kept->ties) continue;
        shared->before += static_cast<double>(weight);
        shared->lastToken = static_cast<int32_t>(piece * kPiece + i);
        shared->found = shared->before > target;
      }
    }
    __syncthreads();
    if (shared->found) break;
  }
  if (shared->lastToken >= 0) return shared->lastToken;
  // The rounding of the sums has left nothing: take the last token that is certainly kept.
  int32_t last = -1;
  for (int64_t v = threadIdx.x; v < vocabulary.size; v += kThreads) {
    const float weight = vocabulary.weight(v);
    if (weight > 0 && (!kept || __float_as_uint(weight) > kept->key)) last = static_cast<int32_t>(v);
  }
  // Indices below 2^24 are exact in float32; a vocabulary is smaller.
  return static_cast<int32_t>(blockReduce(static_cast<float>(last), shared->largest, Largest()));
}

__device__ int32_t firstLargest(const Vocabulary& vocabulary, Shared* shared) {
  float first = kMinusInfinity;  // negated, so that the largest is the first
  for (int64_t v = threadIdx.x; v < vocabulary.size; v += kThreads) {
    if (vocabulary.logits[v] == vocabulary.largest && first == kMinusInfinity) first = -static_cast<float>(v);
  }
  return static_cast<int32_t>(-blockReduce(first, shared->largest, Largest()));
}

__global__ void __launch_bounds__(kThreads)
    sampleRow(DeviceSampledToken* tokens, float* logits, const DeviceSamplingRow* rows,
              DeviceLogitBias* biases, int64_t vocabSize) {
  Shared* shared = sharedMemory<Shared>();
  const DeviceSamplingRow row = rows[blockIdx.x];
  DeviceSampledToken& result = tokens[blockIdx.x];
  const bool greedy = row.temperature == 0, biased = row.biasEnd > row.biasBegin;
  Vocabulary vocabulary{logits + blockIdx.x * vocabSize, vocabSize, (vocabSize + kPiece - 1) / kPiece, 0,
                        greedy ? 1.0f : row.temperature};
  bool finite;
  const float plainLargest = vocabulary.largest = largestLogit(vocabulary, shared, finite);
  if (!finite) {
    if (threadIdx.x == 0) result = {kNonFinite, -1, 0};
    return;
  }
  double total = sumPieces(vocabulary, shared, nullptr);
  const double logTotal = log(total);
  if (biased) {
    for (int i = row.biasBegin + static_cast<int>(threadIdx.x); i < row.biasEnd; i += kThreads) {
      float& logit = vocabulary.logits[biases[i].token];
      biases[i].original = logit;
      logit += biases[i].bias;
    }
    __syncthreads();
    vocabulary.largest = largestLogit(vocabulary, shared, finite);
    if (vocabulary.largest == kMinusInfinity) {
      if (threadIdx.x == 0) result = {kNothingAllowed, -1, 0};
      return;
    }
    if (!greedy) total = sumPieces(vocabulary, shared, nullptr);
  }
  const double draw = samplingDraw(row.seed, row.position);
  int32_t token;
  if (greedy) {
    token = firstLargest(vocabulary, shared);
  } else if (row.topK > 0 || row.topP < 1 || row.minP > 0) {
    const Kept kept = filter(vocabulary, shared, row);
    total = sumPieces(vocabulary, shared, &kept) +
            static_cast<double>(kept.ties) * static_cast<double>(__uint_as_float(kept.key));
    token = tokenAt(vocabulary, shared, &kept, draw * total);
  } else {
    token = tokenAt(vocabulary, shared, nullptr, draw * total);
  }
  if (threadIdx.x == 0) shared->original = vocabulary.logits[token];
  __syncthreads();
  for (int i = row.biasBegin + static_cast<int>(threadIdx.x); i < row.biasEnd; i += kThreads) {
    if (biases[i].token == token) shared->original = biases[i].original;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const double logit = (static_cast<double>(shared->original) - plainLargest) / vocabulary.temperature;
  result = {kDrawn, token, static_cast<float>(logit - logTotal)};
}

}  // namespace

void sampleTokens(Stream stream, DeviceSampledToken* tokens, float* logits, const DeviceSamplingRow* rows,
                  DeviceLogitBias* biases, const MatrixShape& shape) {
  const auto [count, vocabSize] = shape;
  const int64_t pieces = blocksOf(vocabSize, kPiece);
  const size_t sharedBytes =
      sizeof(Shared) + static_cast<size_t>(pieces) * (sizeof(double) + sizeof(unsigned));
  launch(sampleRow, static_cast<unsigned>(count), kThreads, sharedBytes, stream, tokens, logits, rows, biases,
         vocabSize);
}

// --- The backend ---

// Where a token has several biases, their sum counts.
bool CudaBackend::sampleTokens(const Tensor& logits, const SamplingDraw* draws, SampledToken* tokens) {
  const Scope scope(*this, "sampleTokens");
  requireFloat32("sampleTokens", {logits});
  std::vector<DeviceSamplingRow> rows(static_cast<size_t>(logits.shape[0]));
  std::vector<DeviceLogitBias> biases;
  for (size_t r = 0; r < rows.size(); ++r) {
    const SamplingDraw& draw = draws[r];
    rows[r] = {.temperature = draw.temperature,
               .topP = draw.topP,
               .minP = draw.minP,
               .topK = draw.topK,
               .seed = draw.seed,
               .position = draw.position,
               .biasBegin = static_cast<int32_t>(biases.size())};
    std::map<int32_t, float> merged;
    if (draw.logitBias) {
      for (const auto& [token, bias] : *draw.logitBias) merged[token] += bias;
    }
    for (const auto& [token, bias] : merged) biases.push_back({token, bias, 0});
    rows[r].biasEnd = static_cast<int32_t>(biases.size());
  }
  const size_t tokenBytes = (rows.size() * sizeof(DeviceSampledToken) + 15) / 16 * 16;
  auto* drawn =
      static_cast<DeviceSampledToken*>(workspace(tokenBytes + biases.size() * sizeof(DeviceLogitBias)));
  const auto uploaded = upload({{rows.data(), rows.size() * sizeof(DeviceSamplingRow)},
                                {biases.data(), biases.size() * sizeof(DeviceLogitBias)}});
  DeviceLogitBias* written = nullptr;  // the kernel keeps what it changes beside a bias
  if (!biases.empty()) {
    written = reinterpret_cast<DeviceLogitBias*>(reinterpret_cast<char*>(drawn) + tokenBytes);
    copyOnDevice(stream_, written, uploaded[1], biases.size() * sizeof(DeviceLogitBias));
  }
  cuda::sampleTokens(stream_, drawn, floats(logits), static_cast<const DeviceSamplingRow*>(uploaded[0]),
                     written, matrixShape(logits));
  std::vector<DeviceSampledToken> results(rows.size());
  copyToHost(results.data(), drawn, results.size() * sizeof(DeviceSampledToken));
  for (size_t r = 0; r < results.size(); ++r) {
    tokens[r] = {static_cast<SampledToken::Status>(results[r].status), results[r].token, results[r].logprob};
  }
  return true;
}

}  // namespace hdpo::cuda
