#include "op_test.h"

using namespace hdpo;

namespace {

struct Packed {
  Packed(Backend& backend, Values& weight, int64_t outputs, int64_t inputs)
      : buffer(backend, backend.packedBytes(outputs, inputs)), packed{outputs, inputs, buffer.data()} {
    backend.packWeight(packed, Tensor(weight.data(), {outputs, inputs}));
  }
  Buffer buffer;
  PackedWeight packed;
};

Values multiply(Backend& backend, Values x, int64_t rows, const PackedWeight& weight) {
  Values out(static_cast<size_t>(rows * weight.outputs), -7.0f);
  backend.packedMatmul(Tensor(out.data(), {rows, weight.outputs}), Tensor(x.data(), {rows, weight.inputs}),
                       weight);
  return out;
}

Values exactProduct(const Values& x, const Values& weight, int64_t rows, int64_t outputs, int64_t inputs) {
  Values out;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < outputs; ++n) {
      double sum = 0;
      for (int64_t p = 0; p < inputs; ++p) {
        sum += double{x[static_cast<size_t>(r * inputs + p)]} * weight[static_cast<size_t>(n * inputs + p)];
      }
      out.push_back(static_cast<float>(sum));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("packedMatmul: agrees with float64 across every boundary of tile and panel") {
  const auto one = createCpuBackend(1), two = createCpuBackend(2);
  for (const int64_t outputs : {1, 15, 16, 17, 63, 64, 65, 130}) {
    for (const int64_t inputs : {1, 3, 16, 17, 100}) {
      Values weight = randomValues(outputs * inputs, 1);
      const Packed first(*one, weight, outputs, inputs), second(*two, weight, outputs, inputs);
      for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 40}) {
        CAPTURE(rows);
        CAPTURE(outputs);
        CAPTURE(inputs);
        const Values x = randomValues(rows * inputs, 2), result = multiply(*two, x, rows, second.packed);
        CHECK(relativeDifference(result, exactProduct(x, weight, rows, outputs, inputs)) < 1e-6);
        CHECK(result == multiply(*one, x, rows, first.packed));
      }
    }
  }
}

TEST_CASE("packedMatmul: a row has the same bits whatever rows are beside it") {
  const int64_t outputs = 200, inputs = 256, most = 300;
  const auto backend = createCpuBackend(2);
  Values weight = randomValues(outputs * inputs, 3);
  const Packed packed(*backend, weight, outputs, inputs);
  const Values x = randomValues(most * inputs, 4), all = multiply(*backend, x, most, packed.packed);
  for (const int64_t rows : {1, 2, 3, 5, 6, 8, 31, 64, 299}) {
    for (const int64_t first : {int64_t{0}, most - rows}) {
      CAPTURE(rows);
      const Values part(x.begin() + first * inputs, x.begin() + (first + rows) * inputs);
      const Values expected(all.begin() + first * outputs, all.begin() + (first + rows) * outputs);
      CHECK(multiply(*backend, part, rows, packed.packed) == expected);
    }
  }
}

TEST_CASE("packedMatmul: NaN and infinity stay in their row and column") {
  const auto backend = createCpuBackend(2);
  const int64_t outputs = 70, inputs = 20, rows = 9;
  Values weight = randomValues(outputs * inputs, 5), x = randomValues(rows * inputs, 6);
  weight[static_cast<size_t>(66 * inputs + 3)] = std::numeric_limits<float>::quiet_NaN();
  x[static_cast<size_t>(4 * inputs)] = std::numeric_limits<float>::infinity();
  const Packed packed(*backend, weight, outputs, inputs);
  const Values result = multiply(*backend, x, rows, packed.packed);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < outputs; ++n) {
      CHECK(std::isfinite(result[static_cast<size_t>(r * outputs + n)]) == (r != 4 && n != 66));
    }
  }
}
