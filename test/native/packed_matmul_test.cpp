#include "op_test.h"

using namespace hdpo;

namespace {

struct Packed {
  Packed(Backend& backend, Values& weight, int64_t outputs, int64_t inputs,
         PackedFormat format = PackedFormat::Float32)
      : buffer(backend, backend.packedBytes({.rows = outputs, .columns = inputs}, format)),
        packed{.outputs = outputs, .inputs = inputs, .data = buffer.data(), .format = format} {
    backend.packWeight(packed, Tensor(weight.data(), {outputs, inputs}));
  }
  Buffer buffer;
  PackedWeight packed;
};

const char* nameOf(PackedFormat format) {
  return format == PackedFormat::Float32 ? "float32" : format == PackedFormat::BFloat16 ? "bfloat16" : "int8";
}
constexpr PackedFormat kFormats[] = {PackedFormat::Float32, PackedFormat::BFloat16, PackedFormat::Int8};

Values multiply(Backend& backend, Values x, int64_t rows, const PackedWeight& weight) {
  Values out(static_cast<size_t>(rows * weight.outputs), -7.0f);
  backend.packedMatmul(Tensor(out.data(), {rows, weight.outputs}), Tensor(x.data(), {rows, weight.inputs}),
                       weight);
  return out;
}

// A row's values, rounded as the format holds them.
Values stored(const Values& values, int64_t columns, PackedFormat format) {
  Values result = values;
  if (format == PackedFormat::BFloat16) {
    for (float& value : result) value = fromBFloat16(toBFloat16(value));
  }
  if (format != PackedFormat::Int8) return result;
  constexpr int64_t kGroup = 64;
  for (size_t row = 0; row < values.size(); row += static_cast<size_t>(columns)) {
    for (int64_t begin = 0; begin < columns; begin += kGroup) {
      const auto first = result.begin() + static_cast<int64_t>(row) + begin,
                 last = first + std::min(kGroup, columns - begin);
      float largest = 0;
      for (auto value = first; value != last; ++value) largest = std::max(largest, std::abs(*value));
      const float scale = largest / 127, inverse = 1 / scale;
      if (scale == 0) continue;
      for (auto value = first; value != last; ++value) *value = std::nearbyint(*value * inverse) * scale;
    }
  }
  return result;
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

TEST_CASE("packedMatmul: agrees with float64 across every boundary of tile, panel and group") {
  const auto one = createCpuBackend(1), two = createCpuBackend(2);
  for (const PackedFormat format : kFormats) {
    CAPTURE(nameOf(format));
    for (const int64_t outputs : {1, 15, 16, 17, 63, 64, 65, 130}) {
      for (const int64_t inputs : {1, 3, 16, 17, 63, 64, 65, 100, 129}) {
        Values weight = randomValues(outputs * inputs, 1);
        const Packed first(*one, weight, outputs, inputs, format),
            second(*two, weight, outputs, inputs, format);
        const Values held = stored(weight, inputs, format);
        for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 40}) {
          CAPTURE(rows);
          CAPTURE(outputs);
          CAPTURE(inputs);
          const Values x = randomValues(rows * inputs, 2), result = multiply(*two, x, rows, second.packed);
          const Values expected = exactProduct(stored(x, inputs, format), held, rows, outputs, inputs);
          CHECK(relativeDifference(result, expected) < 1e-6);
          CHECK(result == multiply(*one, x, rows, first.packed));
        }
      }
    }
  }
}

TEST_CASE("packedMatmul: a weight in bfloat16 is packed as its values in float32 are") {
  const auto backend = createCpuBackend(2);
  const int64_t outputs = 70, inputs = 133, rows = 9;
  const Values weight = randomValues(outputs * inputs, 8), x = randomValues(rows * inputs, 9);
  std::vector<uint16_t> bits;
  Values wide;
  for (const float value : weight) {
    bits.push_back(toBFloat16(value));
    wide.push_back(fromBFloat16(bits.back()));
  }
  for (const PackedFormat format : kFormats) {
    CAPTURE(nameOf(format));
    const Packed expected(*backend, wide, outputs, inputs, format),
        found(*backend, wide, outputs, inputs, format);
    std::memset(found.buffer.data(), 0x55, found.buffer.bytes());
    backend->packWeight(found.packed, Tensor(bits.data(), DType::BFloat16, {outputs, inputs}));
    CHECK(multiply(*backend, x, rows, found.packed) == multiply(*backend, x, rows, expected.packed));
  }
}

TEST_CASE("packedMatmul: bfloat16 is the product that matmul computes from bfloat16 weights") {
  const auto backend = createCpuBackend(2);
  const int64_t outputs = 100, inputs = 200, rows = 30;
  Values weight = randomValues(outputs * inputs, 8), x = randomValues(rows * inputs, 9);
  std::vector<uint16_t> bits;
  for (const float value : weight) bits.push_back(toBFloat16(value));
  const Packed packed(*backend, weight, outputs, inputs, PackedFormat::BFloat16);
  Values expected(static_cast<size_t>(rows * outputs));
  backend->matmul(Tensor(expected.data(), {rows, outputs}), Tensor(x.data(), {rows, inputs}), false,
                  Tensor(bits.data(), DType::BFloat16, {outputs, inputs}), true, 0);
  CHECK(relativeDifference(multiply(*backend, x, rows, packed.packed), expected) < 1e-6);
}

TEST_CASE("packedMatmul: formats keep the digits they promise") {
  const auto backend = createCpuBackend(2);
  const int64_t outputs = 64, inputs = 1024, rows = 8;
  Values weight = randomValues(outputs * inputs, 8), x = randomValues(rows * inputs, 9);
  const Values exact = exactProduct(x, weight, rows, outputs, inputs);
  const auto error = [&](PackedFormat format) {
    const Packed packed(*backend, weight, outputs, inputs, format);
    const Values found = multiply(*backend, x, rows, packed.packed);
    double squares = 0, all = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      squares += std::pow(double{found[i]} - exact[i], 2);
      all += std::pow(double{exact[i]}, 2);
    }
    return std::sqrt(squares / all);
  };
  CHECK(error(PackedFormat::Float32) < 1e-6);
  CHECK(error(PackedFormat::BFloat16) < 0.004);
  CHECK(error(PackedFormat::Int8) < 0.012);
}

TEST_CASE("packedMatmul: a row has the same bits whatever rows are beside it") {
  const int64_t outputs = 200, inputs = 256, most = 300;
  const auto backend = createCpuBackend(2);
  for (const PackedFormat format : kFormats) {
    CAPTURE(nameOf(format));
    Values weight = randomValues(outputs * inputs, 3);
    const Packed packed(*backend, weight, outputs, inputs, format);
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
}

TEST_CASE("packedMatmul: zeros and tiny values") {
  const auto backend = createCpuBackend(1);
  for (const PackedFormat format : kFormats) {
    CAPTURE(nameOf(format));
    Values weight(70, 0.0f), x(70, 1e-44f);
    const Packed zeros(*backend, weight, 1, 70, format);
    CHECK(multiply(*backend, x, 1, zeros.packed) == Values{0});
    weight.assign(70, 1.0f);
    const Packed ones(*backend, weight, 1, 70, format);
    CHECK(std::abs(multiply(*backend, x, 1, ones.packed)[0]) < 1e-37f);
  }
}

TEST_CASE("packedMatmul: NaN and infinity stay in their row and column") {
  const auto backend = createCpuBackend(2);
  const int64_t outputs = 70, inputs = 20, rows = 9;
  Values weight = randomValues(outputs * inputs, 5), x = randomValues(rows * inputs, 6);
  weight[static_cast<size_t>(66 * inputs + 3)] = std::numeric_limits<float>::quiet_NaN();
  x[static_cast<size_t>(4 * inputs)] = std::numeric_limits<float>::infinity();
  for (const PackedFormat format : kFormats) {
    CAPTURE(nameOf(format));
    const Packed packed(*backend, weight, outputs, inputs, format);
    const Values result = multiply(*backend, x, rows, packed.packed);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t n = 0; n < outputs; ++n) {
        CHECK(std::isfinite(result[static_cast<size_t>(r * outputs + n)]) == (r != 4 && n != 66));
      }
    }
  }
}
