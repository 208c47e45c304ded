#include "cuda/packed_int8.h"

#include <doctest/doctest.h>

#include <limits>

#include "cuda/int8_panels.h"
#include "kernel_test.h"
#include "ops/buffer.h"

using namespace hdpo;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <typename T>
Scratch packed(const std::vector<T>& matrix, int64_t rows, int64_t inputs) {
  Scratch panels(cuda::packedInt8Bytes({rows, inputs}));
  cuda::packInt8<T>(nullptr, panels.data(), matrix.data(), {rows, inputs});
  return panels;
}

template <typename T = float>
Values multiply(const Values& x, const Values& weight, int64_t rows, int64_t outputs, int64_t inputs,
                int64_t busyBlocks = cuda::kInt8BusyBlocks) {
  Scratch xPanels = packed(toType<T>(x), rows, inputs), weightPanels = packed(weight, outputs, inputs);
  std::vector<T> out(static_cast<size_t>(rows * outputs), cuda::fromFloat<T>(9));
  const cuda::Int8Product product{
      .x = xPanels.data(), .weight = weightPanels.data(), .rows = rows, .outputs = outputs, .inputs = inputs};
  cuda::multiplyInt8<T>(nullptr, out.data(), product, busyBlocks);
  return toFloats(out);
}

Values onCpu(Backend& cpu, const Values& x, const Values& weight, int64_t rows, int64_t outputs,
             int64_t inputs) {
  const Buffer memory(cpu, cpu.packedBytes({.rows = outputs, .columns = inputs}, PackedFormat::Int8));
  const PackedWeight weights{
      .outputs = outputs, .inputs = inputs, .data = memory.data(), .format = PackedFormat::Int8};
  cpu.packWeight(weights, view(weight, {outputs, inputs}));
  Values out(static_cast<size_t>(rows * outputs), 9);
  cpu.packedMatmul(view(out, {rows, outputs}), view(x, {rows, inputs}), weights);
  return out;
}

// Compares bits, where NaN equals NaN.
bool sameBits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Groups of every kind: random ones of many sizes, integers and halves (which lie between two integers),
// zeros, values too small for a scale, and values that are not finite.
Values unusualValues(int64_t rows, int64_t inputs) {
  Values values = randomValues(rows * inputs, 4);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = values.data() + r * inputs;
    for (int64_t i = 0; i < inputs; ++i) {
      const auto whole = static_cast<float>(i * 37 % 255 - 127);
      if (r % 8 == 1) row[i] *= std::exp2(static_cast<float>(r % 50 - 25));
      if (r % 8 == 2) row[i] = whole;
      if (r % 8 == 3) row[i] = i % 64 == 0 ? 127.0f : 0.5f * whole;
      if (r % 8 == 4) row[i] = 0;
      if (r % 8 == 5) row[i] *= 1e-40f;
    }
    if (r % 8 == 6) row[r % inputs] = kNan;
    if (r % 8 == 7) row[r % inputs] = -std::numeric_limits<float>::infinity();
  }
  return values;
}

struct Group {
  int q[cuda::kGroup] = {};
  float scale = 0;
};

// Quantises by the definition, in float64, in which the product of two floats is exact.
Group groupOf(const float* values, int64_t count) {
  Group result;
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) return {{}, kNan};
    largest = std::max(largest, std::abs(values[i]));
  }
  result.scale = largest / 127.0f;
  if (result.scale < std::numeric_limits<float>::min()) return {};
  const float inverse = 1 / result.scale;
  for (int64_t i = 0; i < count; ++i) {
    result.q[i] = static_cast<int>(std::nearbyint(double{values[i]} * inverse));
  }
  return result;
}

template <typename T>
void checkPacking(int64_t rows, int64_t inputs) {
  const Values values = toFloats(toType<T>(unusualValues(rows, inputs)));
  Scratch panels = packed(toType<T>(values), rows, inputs);
  const int64_t groups = cuda::blocksOf(inputs, cuda::kGroup);
  size_t wrong = 0;
  for (int64_t r = 0; r < cuda::blocksOf(rows, cuda::kPanel) * cuda::kPanel; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * cuda::kGroup, count = std::min<int64_t>(cuda::kGroup, inputs - begin);
      const Group expected = r < rows ? groupOf(values.data() + r * inputs + begin, count) : Group();
      const auto* chunk = static_cast<const unsigned char*>(panels.data()) +
                          (r / cuda::kPanel * groups + g) * cuda::kChunkBytes;
      float scale;
      std::memcpy(&scale, chunk + cuda::kScalesAt + r % cuda::kPanel * 4, sizeof scale);
      wrong += std::isnan(expected.scale) ? !std::isnan(scale) : scale != expected.scale;
      for (int64_t i = 0; i < cuda::kGroup; ++i) {
        wrong += static_cast<signed char>(chunk[r % cuda::kPanel * cuda::kGroup + i]) != expected.q[i];
      }
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("cuda packInt8: integers and scales by the definition, for groups of every kind") {
  for (const int64_t inputs : {1, 7, 60, 64, 65, 100, 104, 200}) {
    CAPTURE(inputs);
    checkPacking<float>(37, inputs);
    checkPacking<cuda::BFloat16>(37, inputs);
  }
}

TEST_CASE("cuda packInt8: integers and scales are the CPU's, bit for bit") {
  // Each row of x has a single value that is not 0, and so shows one column of the weight.
  const auto cpu = createCpuBackend(2);
  const int64_t outputs = 40, inputs = 64;
  const Values weight = unusualValues(outputs, inputs);
  Values x(static_cast<size_t>(inputs * inputs));
  for (int64_t i = 0; i < inputs; ++i) x[static_cast<size_t>(i * inputs + i)] = static_cast<float>(i) - 20.3f;
  const Values found = multiply(x, weight, inputs, outputs, inputs);
  const Values expected = onCpu(*cpu, x, weight, inputs, outputs, inputs);
  size_t different = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    different += std::isnan(expected[i]) ? !std::isnan(found[i]) : found[i] != expected[i];
  }
  CHECK(different == 0);
}

TEST_CASE("cuda multiplyInt8: agrees with the CPU, with the same bits whatever the tiles") {
  const auto cpu = createCpuBackend(2);
  uint64_t seed = 0;
  for (const int64_t outputs : {1, 15, 70, 130}) {
    for (const int64_t inputs : {1, 63, 65, 200, 1030}) {
      const Values weight = randomValues(outputs * inputs, 1);
      for (const int64_t rows : {1, 3, 9, 17, 33, 64, 65, 131}) {
        if (inputs > 200 && rows * outputs > 3000) continue;  // fibers are slow
        CAPTURE(rows);
        CAPTURE(outputs);
        CAPTURE(inputs);
        emulation::setSeed(++seed);
        const Values x = randomValues(rows * inputs, 2), found = multiply(x, weight, rows, outputs, inputs);
        // Groups are added up in another order.
        CHECK(relativeDifference(found, onCpu(*cpu, x, weight, rows, outputs, inputs)) < 5e-6);
        if (rows <= 16) continue;  // these have one kernel
        CHECK(sameBits(found, multiply(x, weight, rows, outputs, inputs, 0)));
        CHECK(sameBits(found, multiply(x, weight, rows, outputs, inputs, 3)));
      }
    }
  }
}

TEST_CASE("cuda multiplyInt8: a row has the same bits whatever rows are beside it") {
  const int64_t outputs = 50, inputs = 610, most = 140;
  const Values weight = randomValues(outputs * inputs, 3), x = randomValues(most * inputs, 4);
  const Values all = multiply(x, weight, most, outputs, inputs);
  for (const int64_t rows : {1, 5, 8, 16, 31, 40, 64, 65}) {
    const int64_t first = most - rows;
    CAPTURE(rows);
    const Values part(x.begin() + first * inputs, x.end());
    CHECK(sameBits(multiply(part, weight, rows, outputs, inputs),
                   Values(all.begin() + first * outputs, all.end())));
  }
}

TEST_CASE("cuda multiplyInt8: bfloat16 rows are multiplied as their values are, and results rounded once") {
  const int64_t outputs = 33, inputs = 130;
  const Values weight = randomValues(outputs * inputs, 5);
  for (const int64_t rows : {4, 70}) {
    CAPTURE(rows);
    const Values x = rounded<cuda::BFloat16>(randomValues(rows * inputs, 6));
    CHECK(sameBits(multiply<cuda::BFloat16>(x, weight, rows, outputs, inputs),
                   rounded<cuda::BFloat16>(multiply(x, weight, rows, outputs, inputs))));
  }
}

TEST_CASE("cuda multiplyInt8: NaN and infinity stay in their row and column") {
  const int64_t outputs = 70, inputs = 90;
  for (const int64_t rows : {9, 70}) {
    CAPTURE(rows);
    Values weight = randomValues(outputs * inputs, 5), x = randomValues(rows * inputs, 6);
    weight[static_cast<size_t>(66 * inputs + 3)] = kNan;
    x[static_cast<size_t>(4 * inputs + 80)] = std::numeric_limits<float>::infinity();
    const Values result = multiply(x, weight, rows, outputs, inputs);
    size_t wrong = 0;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t n = 0; n < outputs; ++n) {
        wrong += std::isfinite(result[static_cast<size_t>(r * outputs + n)]) != (r != 4 && n != 66);
      }
    }
    CHECK(wrong == 0);
  }
}
