#include "cuda/cached_heads.h"

#include <doctest/doctest.h>

#include "cuda/elementwise.h"
#include "cuda/head_norm.h"
#include "cuda/rotary.h"
#include "kernel_test.h"

using namespace hdpo;

namespace {

// Rows of length 0 are those with which a step was filled up.
const std::vector<int32_t> kLengths = {1, 16, 0, 17, 40, 0}, kPositions = {0, 15, 0, 16, 39, 0};

template <typename T, typename C>
struct Rows {
  explicit Rows(const AttentionShape& given) : shape(given) {
    const int64_t width = shape.qkvWidth();
    qkv = toType<T>(randomValues(static_cast<int64_t>(kLengths.size()) * width, 1));
    bias = randomValues(width, 2);
    queryNorm = randomValues(shape.headDim, 3);
    keyNorm = randomValues(shape.headDim, 4);
    for (int64_t i = 0; i < shape.headDim / 2; ++i)
      frequencies.push_back(1 / (1 + 0.3f * static_cast<float>(i)));
    const auto count = static_cast<int32_t>(kLengths.size());
    for (int32_t block = 0; block < count * kStride; ++block) tables.push_back(block * 5 % (count * kStride));
    const int64_t values = count * kStride * 2 * shape.kvHeads * shape.headDim * kvBlockTokens;
    cache.assign(static_cast<size_t>(values), cuda::fromFloat<C>(7));
  }

  cuda::CachedRows rows() const {
    return {static_cast<int64_t>(kLengths.size()), tables.data(), kStride, kLengths.data(), 40};
  }
  int64_t width() const { return static_cast<int64_t>(bias.size()); }

  static constexpr int32_t kStride = 3;
  AttentionShape shape;
  std::vector<T> qkv;
  std::vector<C> cache;
  Values bias, queryNorm, keyNorm, frequencies;
  std::vector<int32_t> tables;
};

template <typename T, typename C>
void together(Rows<T, C>& given, bool bias, bool norm) {
  const cuda::HeadPlacement placement{.bias = bias ? given.bias.data() : nullptr,
                                      .queryNorm = norm ? given.queryNorm.data() : nullptr,
                                      .keyNorm = norm ? given.keyNorm.data() : nullptr,
                                      .epsilon = 1e-5f,
                                      .positions = kPositions.data(),
                                      .inverseFrequencies = given.frequencies.data()};
  cuda::cacheHeads(nullptr, given.cache.data(), given.qkv.data(), placement, given.rows(), given.shape);
}

template <typename T, typename C>
void oneByOne(Rows<T, C>& given, bool bias, bool norm) {
  const auto count = static_cast<int64_t>(kLengths.size());
  if (bias) cuda::addBias(nullptr, given.qkv.data(), given.bias.data(), {count, given.width()});
  if (norm) {
    cuda::headNorm(nullptr, given.qkv.data(), static_cast<float*>(nullptr),
                   static_cast<const T*>(given.qkv.data()), given.queryNorm.data(), given.keyNorm.data(),
                   {given.shape, count}, 1e-5f);
  }
  cuda::rotary(nullptr, given.qkv.data(), kPositions.data(), given.frequencies.data(), count, given.shape, 1);
  const T* qkv = given.qkv.data();
  for (size_t r = 0; r < kLengths.size(); ++r) {  // leaving out the rows that were added
    if (kLengths[r] == 0) continue;
    const cuda::CachedRows row{1, given.tables.data() + r * Rows<T, C>::kStride, Rows<T, C>::kStride,
                               &kLengths[r], 40};
    cuda::writeCache(nullptr, given.cache.data(), qkv + static_cast<int64_t>(r) * given.width(), row,
                     given.shape);
  }
}

template <typename T>
Values queriesOf(const std::vector<T>& qkv, const AttentionShape& shape) {
  const int64_t width = shape.qkvWidth();
  Values queries;
  for (size_t r = 0; r < kLengths.size(); ++r) {
    for (int64_t i = 0; i < shape.outWidth(); ++i)
      queries.push_back(cuda::toFloat(qkv[r * static_cast<size_t>(width) + static_cast<size_t>(i)]));
  }
  return queries;
}

double shareOfEqual(const Values& left, const Values& right) {
  size_t equal = 0;
  for (size_t i = 0; i < left.size(); ++i) equal += left[i] == right[i];
  return static_cast<double>(equal) / static_cast<double>(left.size());
}

// leastEqual: the least share of the queries that must be equal. Sums of squares are taken in another order,
// which may round a value the other way.
template <typename T, typename C>
void checkAgainstSteps(double tolerance, double leastEqual) {
  for (const AttentionShape& shape :
       {AttentionShape{1, 1, 2}, {4, 2, 16}, {3, 1, 20}, {5, 1, 64}, {2, 2, 128}, {1, 1, 162}, {3, 3, 256}}) {
    for (const auto& [bias, norm] :
         std::vector<std::pair<bool, bool>>{{false, false}, {true, false}, {true, true}}) {
      CAPTURE(shape.headDim);
      CAPTURE(bias);
      CAPTURE(norm);
      emulation::setSeed(static_cast<uint64_t>(shape.headDim));
      Rows<T, C> found(shape), expected(shape);
      together(found, bias, norm);
      oneByOne(expected, bias, norm);
      const Values queries = queriesOf(found.qkv, shape), wanted = queriesOf(expected.qkv, shape);
      CHECK(relativeDifference(queries, wanted) < tolerance);
      CHECK(shareOfEqual(queries, wanted) >= leastEqual);
      CHECK(relativeDifference(toFloats(found.cache), toFloats(expected.cache)) < tolerance);
    }
  }
}

}  // namespace

TEST_CASE(
    "cuda cacheHeads: bias, norm, rotary and cache in one launch are those of four; added rows write "
    "nothing") {
  checkAgainstSteps<float, float>(3e-6, 0);
  checkAgainstSteps<float, cuda::BFloat16>(8e-3, 0);
  checkAgainstSteps<cuda::BFloat16, cuda::BFloat16>(8e-3, 0.99);
}
