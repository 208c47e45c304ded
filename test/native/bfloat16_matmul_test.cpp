// Products with bfloat16 operands, on oneDNN's primitive and on the path for processors without the
// instructions.
#include "cpu/matrix_product.h"
#include "op_test.h"

using namespace hdpo;

namespace {

using Bits = std::vector<uint16_t>;

Bits rounded(const Values& values) {
  Bits result;
  for (const float value : values) result.push_back(toBFloat16(value));
  return result;
}

struct Shape {
  int64_t rows, columns, inner;
};

struct Operands {
  Values a, b, out;
  Bits roundedA, roundedB;
};

struct Variant {
  bool transposeA, transposeB, bfloat16A, bfloat16B;
  float beta;
};

std::vector<Variant> variants() {
  std::vector<Variant> result;
  for (int bits = 0; bits < 32; ++bits) {
    const Variant variant{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0,
                          (bits & 16) != 0 ? 1.0f : 0.0f};
    if (variant.bfloat16A || variant.bfloat16B) result.push_back(variant);
  }
  return result;
}

template <class Multiply>
Values product(const Shape& shape, const Variant& variant, Operands& operands, const Multiply& multiply) {
  const auto view = [](Values& values, Bits& bits, bool bfloat16, int64_t rows, int64_t columns) {
    return bfloat16 ? Tensor(bits.data(), DType::BFloat16, {rows, columns})
                    : Tensor(values.data(), {rows, columns});
  };
  const Tensor a =
      view(operands.a, operands.roundedA, variant.bfloat16A, variant.transposeA ? shape.inner : shape.rows,
           variant.transposeA ? shape.rows : shape.inner);
  const Tensor b =
      view(operands.b, operands.roundedB, variant.bfloat16B, variant.transposeB ? shape.columns : shape.inner,
           variant.transposeB ? shape.inner : shape.columns);
  // With beta 0 the product must not read what was there.
  Values out = variant.beta == 0 ? Values(operands.out.size(), std::nanf("")) : operands.out;
  multiply(Tensor(out.data(), {shape.rows, shape.columns}), a, variant.transposeA, b, variant.transposeB,
           variant.beta);
  return out;
}

}  // namespace

TEST_CASE("bfloat16 matmul: both paths agree with float64 for every operand, transposition and beta") {
  ReferenceBackend reference;
  const auto cpu = createCpuBackend(2);
  MatrixProducts widened(*cpu, false);
  const auto multiplyBy = [](auto& products) {
    return [&products](auto&&... arguments) { products.multiply(arguments...); };
  };
  for (const Shape& shape : {Shape{1, 1, 1},
                             {1, 17, 15},
                             {16, 16, 16},
                             {17, 15, 33},
                             {65, 129, 127},
                             {3, 1100, 1000},
                             // Narrow products, with whole and broken tiles and panels.
                             {128, 512, 2},
                             {141, 530, 34},
                             {150, 625, 128},
                             {150, 600, 129}}) {
    CAPTURE(shape.rows);
    Operands operands{randomValues(shape.rows * shape.inner, 0),
                      randomValues(shape.inner * shape.columns, 1),
                      randomValues(shape.rows * shape.columns, 2),
                      {},
                      {}};
    operands.roundedA = rounded(operands.a);
    operands.roundedB = rounded(operands.b);
    for (const Variant& variant : variants()) {
      CAPTURE(variant.transposeA);
      CAPTURE(variant.transposeB);
      CAPTURE(variant.bfloat16A);
      CAPTURE(variant.bfloat16B);
      CAPTURE(variant.beta);
      const Values expected =
          product(shape, variant, operands, [&](auto&&... args) { reference.matmul(args...); });
      const Values found = product(shape, variant, operands, [&](auto&&... args) { cpu->matmul(args...); });
      CHECK(relativeDifference(found, expected) < 2e-6);
      CHECK(found == product(shape, variant, operands, [&](auto&&... args) { cpu->matmul(args...); }));
      CHECK(relativeDifference(product(shape, variant, operands, multiplyBy(widened)), expected) < 2e-6);
    }
  }
}

TEST_CASE("bfloat16 matmul: operands are rounded, so that the result is not that of float32") {
  const auto cpu = createCpuBackend(1);
  Values a{1.00390625f}, out(1);  // 1 + 2^-8: a tie, rounded to the even 1
  Bits one = rounded({1.0f});
  cpu->matmul(Tensor(out.data(), {1, 1}), Tensor(a.data(), {1, 1}), false,
              Tensor(one.data(), DType::BFloat16, {1, 1}), false, 0);
  CHECK(out[0] == 1.0f);
}

TEST_CASE("bfloat16 matmul: more shapes than are kept") {
  const auto cpu = createCpuBackend(1);
  ReferenceBackend reference;
  for (int64_t rows = 1; rows <= 600; ++rows) {
    Values x = randomValues(rows * 3, 7), weight = randomValues(2 * 3, 8),
           found(static_cast<size_t>(rows * 2)), expected = found;
    Bits bits = rounded(weight);
    const Tensor w(bits.data(), DType::BFloat16, {2, 3});
    cpu->matmul(Tensor(found.data(), {rows, 2}), Tensor(x.data(), {rows, 3}), false, w, true, 0);
    reference.matmul(Tensor(expected.data(), {rows, 2}), Tensor(x.data(), {rows, 3}), false, w, true, 0);
    REQUIRE(relativeDifference(found, expected) < 1e-6);
  }
}

TEST_CASE("convert: rounds to nearest, ties to even, and widens exactly") {
  const auto cpu = createCpuBackend(2);
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<float, float>> cases = {{0.0f, 0.0f},
                                                      {-0.0f, -0.0f},
                                                      {1.0f, 1.0f},
                                                      {1.00390625f, 1.0f},       // tie, even below
                                                      {1.01171875f, 1.015625f},  // tie, even above
                                                      {1.0039064f, 1.0078125f},  // just above a tie
                                                      {-1.0039064f, -1.0078125f},
                                                      {infinity, infinity},
                                                      {-infinity, -infinity},
                                                      {3.4e38f, infinity},  // rounds out of range
                                                      {1e-40f, fromBFloat16(1)}};
  for (const auto& [given, expected] : cases) {
    CAPTURE(given);
    uint16_t bits = 0x5555;
    float in = given, back = 0;
    cpu->convert(Tensor(&bits, DType::BFloat16, {1}), Tensor(&in, {1}));
    cpu->convert(Tensor(&back, {1}), Tensor(&bits, DType::BFloat16, {1}));
    CHECK(std::bit_cast<uint32_t>(back) == std::bit_cast<uint32_t>(expected));
  }
  float nan = std::bit_cast<float>(0x7F800001u), back = 0;  // its upper half alone would be infinity
  uint16_t bits = 0;
  cpu->convert(Tensor(&bits, DType::BFloat16, {1}), Tensor(&nan, {1}));
  cpu->convert(Tensor(&back, {1}), Tensor(&bits, DType::BFloat16, {1}));
  CHECK(std::isnan(back));
}

TEST_CASE("convert: large tensors as the reference does, in both directions and of one type") {
  for (const int64_t count : {1, 15, 17, 100, 40'000, 100'003}) {
    CAPTURE(count);
    Values given = randomValues(count, 3);
    checkAgainstReference(
        [&](Backend& backend) {
          Bits bits(given.size()), copied(given.size());
          Values wide(given.size()), same(given.size());
          backend.convert(Tensor(bits.data(), DType::BFloat16, {count}), Tensor(given.data(), {count}));
          backend.convert(Tensor(copied.data(), DType::BFloat16, {count}),
                          Tensor(bits.data(), DType::BFloat16, {count}));
          backend.convert(Tensor(wide.data(), {count}), Tensor(copied.data(), DType::BFloat16, {count}));
          backend.convert(Tensor(same.data(), {count}), Tensor(given.data(), {count}));
          return std::vector<Values>{wide, same};
        },
        1e-30);
  }
}
