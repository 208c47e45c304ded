// Products with packed weights and attention over the paged cache.
#include <cassert>
#include <map>
#include <vector>

#include "core/error.h"
#include "cuda/cached_heads.h"
#include "cuda/cached_prefill.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/packed_int8.h"
#include "cuda/sampler.h"

namespace hdpo::cuda {

namespace {

// Of the formats that are plain copies.
DType typeOf(PackedFormat format) {
  assert(format != PackedFormat::Int8);
  return format == PackedFormat::BFloat16 ? DType::BFloat16 : DType::Float32;
}

// The cache is never more precise than what is written to it.
template <class Visit>
void withCacheTypes(DType element, DType cached, const char* op, const Visit& visit) {
  const bool brief = cached == DType::BFloat16;
  if (element == DType::Float32 && !brief) return visit(float(), float());
  if (element == DType::Float32 && brief) return visit(float(), BFloat16());
  require(element == DType::BFloat16 && brief, "ERR_NOT_IMPLEMENTED",
          std::string(op) + " on CUDA has no kernel for bfloat16 rows and a float32 cache");
  visit(BFloat16(), BFloat16());
}

void requireCachedHeads(int64_t heads, int64_t kvHeads, int64_t headDim) {
  require(headDim <= 256 && heads / kvHeads <= 16, "ERR_NOT_IMPLEMENTED",
          "attention over the cache on CUDA has kernels for a headDim up to 256 and 16 query heads a key "
          "head, not for " +
              std::to_string(headDim) + " and " + std::to_string(heads / kvHeads));
}

Tensor plainWeight(const PackedWeight& packed) {
  return Tensor(packed.data, typeOf(packed.format), {packed.outputs, packed.inputs});
}

}  // namespace

bool CudaBackend::packsInPlace(DType weight, PackedFormat format) const {
  return format != PackedFormat::Int8 && typeOf(format) == weight;
}

size_t CudaBackend::packedBytes(int64_t outputs, int64_t inputs, PackedFormat format) {
  if (format == PackedFormat::Int8) return packedInt8Bytes(outputs, inputs);
  return static_cast<size_t>(outputs * inputs) * sizeOf(typeOf(format));
}

void CudaBackend::packWeight(const PackedWeight& packed, const Tensor& weight) {
  if (packed.format != PackedFormat::Int8) return convert(plainWeight(packed), weight);
  const Scope scope(*this, "packWeight");
  withType(weight.dtype, "packWeight", [&](auto element) {
    using T = decltype(element);
    packInt8<T>(stream_, packed.data, dataOf<T>(weight), packed.outputs, packed.inputs);
  });
}

void CudaBackend::packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  const Scope scope(
      *this, "packedMatmul",
      2.0 * static_cast<double>(x.shape[0]) * static_cast<double>(weight.outputs * weight.inputs));
  if (weight.format == PackedFormat::Int8) return multiplyInt8(out, x, weight);
  product(out, x, false, plainWeight(weight), true, 0);
}

// x is packed first, as the weights have been.
void CudaBackend::multiplyInt8(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  const int64_t rows = x.shape[0];
  void* packed = workspace(packedInt8Bytes(rows, weight.inputs));
  withType(x.dtype, "packedMatmul", [&](auto element) {
    using T = decltype(element);
    packInt8<T>(stream_, packed, dataOf<T>(x), rows, weight.inputs);
  });
  withType(out.dtype, "packedMatmul", [&](auto element) {
    using T = decltype(element);
    cuda::multiplyInt8<T>(stream_, dataOf<T>(out),
                          {packed, weight.data, rows, weight.outputs, weight.inputs});
  });
}

void CudaBackend::writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                             int64_t heads, int64_t kvHeads, int64_t headDim) {
  const Scope scope(*this, "writeCache");
  const CachedRows uploaded = upload(rows, qkv.shape[0]);
  const CachedHeads shape{heads, kvHeads, headDim};
  withCacheTypes(qkv.dtype, cache.dtype, "writeCache", [&](auto element, auto cached) {
    using T = decltype(element);
    using C = decltype(cached);
    cuda::writeCache<T, C>(stream_, dataOf<C>(cache), dataOf<T>(qkv), uploaded, shape);
  });
}

void CudaBackend::cacheHeads(const Tensor& cache, const Tensor& qkv, const HeadPreparation& preparation,
                             const CachedAttentionRow* rows, int64_t heads, int64_t kvHeads,
                             int64_t headDim) {
  const Scope scope(*this, "cacheHeads");
  requireCachedHeads(heads, kvHeads, headDim);
  const auto count = static_cast<size_t>(qkv.shape[0]);
  const auto uploaded =
      upload({{preparation.positions, count * sizeof(int32_t)},
              {preparation.inverseFrequencies, static_cast<size_t>(headDim / 2) * sizeof(float)}});
  HeadPlacement placement;
  placement.bias = floats(preparation.bias);
  placement.queryNorm = floats(preparation.queryNorm);
  placement.keyNorm = floats(preparation.keyNorm);
  placement.epsilon = preparation.epsilon;
  placement.positions = static_cast<const int32_t*>(uploaded[0]);
  placement.inverseFrequencies = static_cast<const float*>(uploaded[1]);
  const CachedRows cachedRows = upload(rows, qkv.shape[0]);
  withCacheTypes(qkv.dtype, cache.dtype, "cacheHeads", [&](auto element, auto cached) {
    using T = decltype(element);
    using C = decltype(cached);
    cuda::cacheHeads<T, C>(stream_, dataOf<C>(cache), dataOf<T>(qkv), placement, cachedRows,
                           {heads, kvHeads, headDim});
  });
}

void CudaBackend::cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                                  const CachedAttentionRow* rows, int64_t heads, int64_t kvHeads,
                                  int64_t headDim) {
  const Scope scope(*this, "cachedAttention");
  const CachedHeads shape{heads, kvHeads, headDim};
  requireCachedHeads(heads, kvHeads, headDim);
  CachedRows uploaded = upload(rows, qkv.shape[0]);
  if (!supportsPrefill(shape, qkv.dtype == cache.dtype)) uploaded.tiles = nullptr;
  if (uploaded.tiles) {
    withType(qkv.dtype, "cachedAttention", [&](auto element) {
      using T = decltype(element);
      cachedPrefill<T>(stream_, dataOf<T>(out), dataOf<T>(cache), dataOf<T>(qkv), uploaded, shape);
    });
  }
  void* memory = workspace(cachedAttentionWorkspaceBytes(uploaded, shape));
  withCacheTypes(qkv.dtype, cache.dtype, "cachedAttention", [&](auto element, auto cached) {
    using T = decltype(element);
    using C = decltype(cached);
    cuda::cachedAttention<T, C>(stream_, dataOf<T>(out), dataOf<C>(cache), dataOf<T>(qkv), uploaded, shape,
                                memory);
  });
}

// The bias of a token that occurs more than once is the sum.
bool CudaBackend::sampleTokens(const Tensor& logits, const SamplingDraw* draws, SampledToken* tokens) {
  const Scope scope(*this, "sampleTokens");
  requireFloat32("sampleTokens", {logits});
  const int64_t count = logits.shape[0];
  std::vector<DeviceSamplingRow> rows(static_cast<size_t>(count));
  std::vector<DeviceLogitBias> biases;
  for (size_t r = 0; r < rows.size(); ++r) {
    const SamplingDraw& draw = draws[r];
    rows[r] = {draw.temperature, draw.topP, draw.minP, draw.topK, draw.seed, draw.position, 0, 0};
    rows[r].biasBegin = static_cast<int32_t>(biases.size());
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
                     written, count, logits.shape[1]);
  std::vector<DeviceSampledToken> results(rows.size());
  copyToHost(results.data(), drawn, results.size() * sizeof(DeviceSampledToken));
  for (size_t r = 0; r < results.size(); ++r) {
    tokens[r] = {static_cast<SampledToken::Status>(results[r].status), results[r].token, results[r].logprob};
  }
  return true;
}

}  // namespace hdpo::cuda
