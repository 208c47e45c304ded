#include "cuda/attention.h"

#include <doctest/doctest.h>

#include "kernel_test.h"

using namespace hdpo;

namespace {

struct Case {
  std::vector<int32_t> lengths;
  AttentionShape shape;
};

template <typename T>
void checkAttention(const Case& given, double tolerance, double backwardTolerance) {
  ReferenceBackend reference;
  std::vector<int32_t> offsets{0};
  for (const int32_t length : given.lengths) offsets.push_back(offsets.back() + length);
  const cuda::PackedAttentionShape shape{given.shape, offsets.back(),
                                         static_cast<int64_t>(given.lengths.size())};
  REQUIRE(cuda::supportsAttention(shape));
  const int64_t tokens = shape.tokens, width = shape.qkvWidth(), outWidth = shape.outWidth(),
                heads = shape.heads;
  const Values qkv = rounded<T>(randomValues(tokens * width, 1, 1.5f)),
               gradOut = rounded<T>(randomValues(tokens * outWidth, 2));
  Values out(gradOut.size()), logSumExp(static_cast<size_t>(tokens * heads)), gradQkv(qkv.size());
  reference.attention(view(out, {tokens, outWidth}), view(logSumExp, {tokens, heads}),
                      view(qkv, {tokens, width}), offsets.data(), shape.sequences, shape);
  reference.attentionBackward(view(gradQkv, {tokens, width}), view(gradOut, {tokens, outWidth}),
                              view(qkv, {tokens, width}), view(out, {tokens, outWidth}),
                              view(logSumExp, {tokens, heads}), offsets.data(), shape.sequences, shape);

  const std::vector<T> in = toType<T>(qkv), grad = toType<T>(gradOut);
  std::vector<T> found(out.size(), cuda::fromFloat<T>(9)), foundGrad(in.size(), cuda::fromFloat<T>(9));
  Values foundLogSumExp(logSumExp.size(), 9);
  cuda::attention(nullptr, found.data(), foundLogSumExp.data(), in.data(), offsets.data(), shape);
  Scratch workspace(cuda::attentionBackwardWorkspaceBytes(shape));
  cuda::attentionBackward(nullptr, foundGrad.data(), grad.data(), in.data(), found.data(),
                          foundLogSumExp.data(), offsets.data(), shape, workspace.data());
  CHECK(relativeDifference(toFloats(found), out) < tolerance);
  CHECK(relativeDifference(foundLogSumExp, logSumExp) < 3e-6);
  CHECK(relativeDifference(toFloats(foundGrad), gradQkv) < backwardTolerance);
}

// Sequences that end inside a tile, at its end and after one row of the next; every way of grouping heads;
// head sizes that fill a kernel's width, that do not, and that no 16-byte access can read.
const std::vector<Case> kCases{
    {{1}, {1, 1, 2}},           {{64}, {1, 1, 32}},     {{3, 65, 1, 32, 31}, {2, 1, 16}},
    {{33, 128, 7}, {4, 2, 24}}, {{130}, {2, 2, 64}},    {{5, 0, 97}, {3, 1, 40}},
    {{70}, {2, 1, 128}},        {{20, 45}, {2, 2, 80}}, {{10, 70}, {2, 1, 33}},
};

}  // namespace

TEST_CASE("cuda attention: float agrees with the reference to float32's precision, forward and backward") {
  uint64_t seed = 0;
  for (const Case& given : kCases) {
    CAPTURE(given.shape.headDim);
    emulation::setSeed(++seed);
    checkAttention<float>(given, 3e-6, 1e-5);
  }
}

TEST_CASE("cuda attention: bfloat16 agrees with the reference to its own precision, forward and backward") {
  uint64_t seed = 0;
  for (const Case& given : kCases) {
    CAPTURE(given.shape.headDim);
    emulation::setSeed(++seed);
    checkAttention<cuda::BFloat16>(given, 1e-2, 2e-2);
  }
}
