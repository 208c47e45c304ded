#include <doctest/doctest.h>

#include <numeric>

#include "op_test.h"

using namespace hdpo;

namespace {

struct Case {
  std::vector<int64_t> lengths;
  AttentionShape shape;

  int64_t width() const { return shape.qkvWidth(); }
  int64_t outWidth() const { return shape.outWidth(); }
  int64_t tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }
  int64_t sequences() const { return static_cast<int64_t>(lengths.size()); }
  std::vector<int32_t> offsets() const {
    std::vector<int32_t> result = {0};
    for (const int64_t length : lengths) result.push_back(result.back() + static_cast<int32_t>(length));
    return result;
  }
};

struct Forward {
  Values out, logSumExp;
};

Forward forward(Backend& backend, const Case& c, Values qkv) {
  Forward result{Values(static_cast<size_t>(c.tokens() * c.outWidth())),
                 Values(static_cast<size_t>(c.tokens() * c.shape.heads))};
  backend.attention(Tensor(result.out.data(), {c.tokens(), c.outWidth()}),
                    Tensor(result.logSumExp.data(), {c.tokens(), c.shape.heads}),
                    Tensor(qkv.data(), {c.tokens(), c.width()}), c.offsets().data(), c.sequences(), c.shape);
  return result;
}

Values backward(Backend& backend, const Case& c, Values qkv, Values gradOut, Forward kept) {
  Values gradQkv(qkv.size(), -7);  // written, not added to
  backend.attentionBackward(
      Tensor(gradQkv.data(), {c.tokens(), c.width()}), Tensor(gradOut.data(), {c.tokens(), c.outWidth()}),
      Tensor(qkv.data(), {c.tokens(), c.width()}), Tensor(kept.out.data(), {c.tokens(), c.outWidth()}),
      Tensor(kept.logSumExp.data(), {c.tokens(), c.shape.heads}), c.offsets().data(), c.sequences(), c.shape);
  return gradQkv;
}

}  // namespace

TEST_CASE("attention: the CPU agrees with the reference, forward and backward") {
  // The lengths lie around the vector (16 lanes), the tile (64 rows of G heads) and the block of keys (64).
  // The head dimensions are not all multiples of 4 or 16. The groups have 1 to 8 heads.
  for (const Case& c : {Case{{1}, {1, 1, 2}},
                        {{2, 1, 3}, {2, 1, 6}},
                        {{15, 16, 17}, {4, 2, 32}},
                        {{63, 64, 65, 1}, {2, 2, 20}},
                        {{127, 129}, {4, 2, 16}},
                        {{31, 33, 5}, {3, 1, 64}},
                        {{40, 7}, {8, 1, 80}},
                        {{70, 128}, {2, 1, 128}},
                        {{20, 250, 77, 3, 190}, {4, 4, 34}},
                        {{700}, {2, 1, 8}}}) {
    CAPTURE(c.lengths.size());
    CAPTURE(c.lengths[0]);
    CAPTURE(c.shape.headDim);
    const Values qkv = randomValues(c.tokens() * c.width(), 0, 1.5f),
                 gradOut = randomValues(c.tokens() * c.outWidth(), 1);
    checkAgainstReference(
        [&](Backend& backend) {
          const Forward kept = forward(backend, c, qkv);
          return std::vector<Values>{kept.out, kept.logSumExp, backward(backend, c, qkv, gradOut, kept)};
        },
        3e-6);
  }
}

TEST_CASE("attention: a long sequence in tiles shared by threads") {
  const Case c{{2100}, {2, 1, 16}};
  const Values qkv = randomValues(c.tokens() * c.width(), 0),
               gradOut = randomValues(c.tokens() * c.outWidth(), 1);
  checkAgainstReference(
      [&](Backend& backend) {
        const Forward kept = forward(backend, c, qkv);
        return std::vector<Values>{kept.out, kept.logSumExp, backward(backend, c, qkv, gradOut, kept)};
      },
      3e-6);
}

TEST_CASE("attention: the gradient agrees with finite differences of the reference") {
  const Case c{{5, 19, 1}, {4, 2, 6}};
  ReferenceBackend reference;
  const auto cpu = createCpuBackend(2);
  Values qkv = randomValues(c.tokens() * c.width(), 0);
  const Values gradOut = randomValues(c.tokens() * c.outWidth(), 1);
  const Values grad = backward(*cpu, c, qkv, gradOut, forward(*cpu, c, qkv));
  const auto loss = [&] {
    const Values out = forward(reference, c, qkv).out;
    return std::inner_product(out.begin(), out.end(), gradOut.begin(), 0.0, std::plus<>(),
                              [](float a, float b) { return double{a} * b; });
  };
  constexpr float kStep = 1e-2f;
  for (size_t i = 0; i < qkv.size(); i += 7) {
    CAPTURE(i);
    const float original = qkv[i];
    qkv[i] = original + kStep;
    const double above = loss();
    qkv[i] = original - kStep;
    const double below = loss();
    qkv[i] = original;
    CHECK((above - below) / (2 * kStep) == doctest::Approx(grad[i]).scale(1).epsilon(1e-3));
  }
}

TEST_CASE(
    "attention: a sequence's results do not depend on its neighbours, nor earlier tokens' on later ones") {
  const Case both{{100, 53}, {4, 2, 32}}, alone{{53}, {4, 2, 32}};
  const auto cpu = createCpuBackend(2);
  Values qkv = randomValues(both.tokens() * both.width(), 0);
  const Values own(qkv.begin() + 100 * both.width(), qkv.end());
  const Forward packed = forward(*cpu, both, qkv), single = forward(*cpu, alone, own);
  CHECK(Values(packed.out.begin() + 100 * both.outWidth(), packed.out.end()) == single.out);
  CHECK(Values(packed.logSumExp.begin() + 100 * both.shape.heads, packed.logSumExp.end()) ==
        single.logSumExp);

  for (int64_t i = 60 * both.width(); i < 100 * both.width(); ++i) qkv[static_cast<size_t>(i)] += 1;
  const Forward changed = forward(*cpu, both, qkv);
  const auto untouched = packed.out.begin() + 60 * both.outWidth();
  CHECK(std::equal(packed.out.begin(), untouched, changed.out.begin()));
  CHECK_FALSE(std::equal(untouched, untouched + both.outWidth(), changed.out.begin() + 60 * both.outWidth()));
}

TEST_CASE("attention: huge scores stay finite, non-finite values stay visible") {
  const Case c{{70}, {2, 1, 16}};
  const auto cpu = createCpuBackend(2);
  const Values gradOut = randomValues(c.tokens() * c.outWidth(), 1);
  const auto finite = [](const Values& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  };
  const Values large = randomValues(c.tokens() * c.width(), 0, 300);  // scores of the order of 1e5
  const Forward kept = forward(*cpu, c, large);
  CHECK(finite(kept.out));
  CHECK(finite(kept.logSumExp));
  CHECK(finite(backward(*cpu, c, large, gradOut, kept)));

  for (const float poison : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const int64_t column : {0, 2 * 16, 3 * 16}) {  // a query, a key, a value
      CAPTURE(poison);
      CAPTURE(column);
      Values qkv = randomValues(c.tokens() * c.width(), 0);
      qkv[static_cast<size_t>(20 * c.width() + column)] = poison;
      const Forward poisoned = forward(*cpu, c, qkv);
      CHECK_FALSE(finite(poisoned.out));
      CHECK_FALSE(finite(backward(*cpu, c, qkv, gradOut, poisoned)));
    }
  }
}
