// Packed products in 8-bit integers: out [R, N] = x [R, P] * weight [N, P]^T.
//
// Both operands are quantised symmetrically, with a float32 scale per row and group of kGroup inputs:
//   value = scale * q, scale = largest |value| of the group / 127, q rounded to nearest
// A group's products are summed exactly, in int32, and these sums are then added, times both scales, in the
// order of the groups. A value that is not finite makes its scale NaN, and with it every output of its row.
//
// Layout: data[panel][group]: bytes [kGroup / 4][kPanel][4], then the scales [kPanel], padded with zeros. The
// bytes are q + 128, unsigned, because the instruction for this (AVX512-VNNI) multiplies unsigned by signed
// bytes. That adds 128 * (sum of x's group) too much, so the sums begin at minus that.
#include <omp.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/bfloat16.h"
#include "cpu/packed_matmul.h"
#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace hdpo {

namespace {

constexpr int64_t kGroup = 64, kQuads = kGroup / 4;
constexpr int kVectors = kVectorsPerBlock;
// A tile keeps in registers kTileRows x kVectors sums and, where no instruction multiplies four bytes at
// once, both halves of kVectors weights and of a quad.
#if defined(__AVX512VNNI__)
constexpr int64_t kTileRows = 6;
#else
constexpr int64_t kTileRows = 4;
#endif
constexpr int64_t kPanel = kLanes * kVectors;
constexpr int64_t kGroupBytes = kGroup * kPanel + kPanel * static_cast<int64_t>(sizeof(float));
constexpr int64_t kPrefetch = 48;  // lines fetched ahead where a single tile reads the panel

// One group of a row of x.
struct GroupScale {
  float scale;
  int32_t excess;  // -128 * sum of the group's q
};

// Quantises a group of kGroup values, padded with zeros. Returns the scale.
float quantise(int8_t* q, const float* values) {
  float largest = 0, differences = 0;
#pragma omp simd reduction(max : largest) reduction(+ : differences)
  for (int64_t i = 0; i < kGroup; ++i) {
    const float size = std::abs(values[i]);
    largest = size > largest ? size : largest;
    differences += values[i] - values[i];  // 0, or NaN for a value that is not finite
  }
  const float scale = largest / 127.0f;
  if (differences != 0 || scale < std::numeric_limits<float>::min()) {  // 1 / scale would not be finite
    std::memset(q, 0, static_cast<size_t>(kGroup));
    return differences == 0 ? 0 : std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = 1 / scale;
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
#pragma omp simd
  for (int64_t i = 0; i < kGroup; ++i) {
    // q is at most 127, by the choice of the scale.
    q[i] = static_cast<int8_t>(std::bit_cast<int32_t>(values[i] * inverse + kRound) -
                               std::bit_cast<int32_t>(kRound));
  }
  return scale;
}

// A Quad is four inputs of a row side by side, as products take them. addProducts returns sum + the products
// of a quad with the four unsigned bytes of every lane of `weights`. It is exact: no partial sum leaves
// int32.
#if defined(__SSE2__) && !defined(__AVX512VNNI__)
// Bytes 0, 2 and bytes 1, 3 as 16-bit integers: one instruction multiplies two and adds their products.
struct Quad {
  int16_t even[2], odd[2];
};
inline Quad quadOf(const int8_t* q) { return {{q[0], q[2]}, {q[1], q[3]}}; }
inline VectorInt broadcastPair(const int16_t* from) {
  int32_t pair;
  std::memcpy(&pair, from, sizeof(pair));
  return VectorInt{} + pair;
}
inline VectorInt multiplyPairs(VectorInt a, VectorInt b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<VectorInt>(
      _mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__) && !defined(__AVX512F__)
  return reinterpret_cast<VectorInt>(
      _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif !defined(__AVX512F__)
  return reinterpret_cast<VectorInt>(
      _mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}
inline VectorInt addProducts(VectorInt sum, VectorInt weights, const Quad& quad) {
  typedef uint16_t Halves __attribute__((vector_size(kVectorBytes)));
  const VectorInt odd = reinterpret_cast<VectorInt>(reinterpret_cast<Halves>(weights) >> 8);
  return sum + multiplyPairs(weights & 0x00FF00FF, broadcastPair(quad.even)) +
         multiplyPairs(odd, broadcastPair(quad.odd));
}
#else
typedef int32_t Quad;
inline Quad quadOf(const int8_t* q) {
  Quad quad;
  std::memcpy(&quad, q, sizeof(quad));
  return quad;
}
inline VectorInt addProducts(VectorInt sum, VectorInt weights, Quad quad) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<VectorInt>(_mm512_dpbusd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(weights), _mm512_set1_epi32(quad)));
#else
  for (int byte = 0; byte < 4; ++byte) {
    const int32_t value = static_cast<int8_t>(static_cast<uint32_t>(quad) >> (8 * byte));
    sum += (weights >> (8 * byte) & 255) * value;
  }
  return sum;
#endif
}
#endif

struct Product {
  float* out;
  const Quad* x;             // [R][groups][kQuads]
  const GroupScale* scales;  // [R][groups]
  const uint8_t* panels;
  int64_t rows, outputs, groups;

  template <int tileRows>
  [[gnu::noinline]] void run(int64_t row, int64_t panel) const {
    const uint8_t* weight = panels + panel * groups * kGroupBytes;
    const bool fetchAhead = row == 0;  // the first tile that uses a panel brings it from memory
    Vector sums[tileRows][kVectors] = {};
    for (int64_t group = 0; group < groups; ++group, weight += kGroupBytes) {
      const Quad* from = x + (row * groups + group) * kQuads;
      const GroupScale* scale = scales + row * groups + group;
      VectorInt exact[tileRows][kVectors];
#pragma GCC unroll 8
      for (int r = 0; r < tileRows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) exact[r][v] = VectorInt{} + scale[r * groups].excess;
      }
      for (int64_t quad = 0; quad < kQuads; ++quad) {
        VectorInt weights[kVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) weights[v] = loadBits(weight + (quad * kPanel + v * kLanes) * 4);
        if (fetchAhead) {
#pragma GCC unroll 8
          for (int v = 0; v < kVectors; ++v) {
            __builtin_prefetch(weight + ((quad + kPrefetch / kVectors) * kPanel + v * kLanes) * 4);
          }
        }
#pragma GCC unroll 8
        for (int r = 0; r < tileRows; ++r) {
          const Quad& values = from[r * groups * kQuads + quad];
#pragma GCC unroll 8
          for (int v = 0; v < kVectors; ++v) exact[r][v] = addProducts(exact[r][v], weights[v], values);
        }
      }
      const float* weightScales = reinterpret_cast<const float*>(weight + kGroup * kPanel);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Vector ofWeights = load(weightScales + v * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < tileRows; ++r) {
          sums[r][v] += __builtin_convertvector(exact[r][v], Vector) * (ofWeights * scale[r * groups].scale);
        }
      }
    }
    storeTile(out + row * outputs + panel * kPanel, outputs, outputs - panel * kPanel, sums);
  }
};

// Packs one group of one panel.
void packGroup(uint8_t* to, const PackedWeight& packed, const Tensor& weight, int64_t panel, int64_t group) {
  const int64_t begin = group * kGroup, count = std::min(kGroup, packed.inputs - begin);
  for (int64_t column = 0; column < kPanel; ++column) {
    const int64_t output = panel * kPanel + column;
    float values[kGroup] = {};
    if (output < packed.outputs && weight.dtype == DType::BFloat16) {
      widen(values, weight.bf16() + output * packed.inputs + begin, count);
    } else if (output < packed.outputs) {
      std::copy_n(weight.f32() + output * packed.inputs + begin, count, values);
    }
    int8_t q[kGroup];
    const float scale = quantise(q, values);
    for (int64_t i = 0; i < kGroup; ++i) {
      to[(i / 4 * kPanel + column) * 4 + i % 4] = static_cast<uint8_t>(q[i] + 128);
    }
    std::memcpy(to + kGroup * kPanel + column * static_cast<int64_t>(sizeof(float)), &scale, sizeof(scale));
  }
}

}  // namespace

size_t packedInt8Bytes(const MatrixShape& weight) {
  return static_cast<size_t>(divideUp(weight.rows, kPanel) * divideUp(weight.columns, kGroup) * kGroupBytes);
}

void packInt8(const PackedWeight& packed, const Tensor& weight) {
  assert(weight.count() == packed.outputs * packed.inputs);
  const int64_t panels = divideUp(packed.outputs, kPanel), groups = divideUp(packed.inputs, kGroup);
  uint8_t* data = static_cast<uint8_t*>(packed.data);
#pragma omp parallel for schedule(static) \
    collapse(2) if (packed.outputs * packed.inputs > parallelMultiplyAdds())
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t group = 0; group < groups; ++group) {
      packGroup(data + (panel * groups + group) * kGroupBytes, packed, weight, panel, group);
    }
  }
}

size_t int8OperandBytes(const MatrixShape& x) {
  return static_cast<size_t>(x.rows * divideUp(x.columns, kGroup)) *
         (kQuads * sizeof(Quad) + sizeof(GroupScale));
}

void multiplyInt8(const Tensor& out, const Tensor& x, const PackedWeight& weight, void* operands) {
  const int64_t rows = x.shape[0], inputs = weight.inputs, groups = divideUp(inputs, kGroup);
  Quad* quads = static_cast<Quad*>(operands);
  GroupScale* scales = reinterpret_cast<GroupScale*>(quads + rows * groups * kQuads);
  const Product product{out.f32(), quads,          scales, static_cast<const uint8_t*>(weight.data),
                        rows,      weight.outputs, groups};
  const auto quantiseGroup = [&](int64_t unit) {
    const int64_t row = unit / groups, begin = unit % groups * kGroup,
                  count = std::min(kGroup, inputs - begin);
    const float* values = x.f32() + row * inputs + begin;
    float padded[kGroup] = {};
    if (count < kGroup) {
      std::copy_n(values, count, padded);
      values = padded;
    }
    int8_t q[kGroup];
    const float scale = quantise(q, values);
    for (int64_t quad = 0; quad < kQuads; ++quad) quads[unit * kQuads + quad] = quadOf(q + quad * 4);
    int32_t sum = 0;
    for (int64_t i = 0; i < kGroup; ++i) sum += q[i];
    scales[unit] = {scale, -128 * sum};
  };
  const bool alone = rows * inputs <= parallelElements();  // waiting for other threads would take longer
  for (int64_t unit = 0; alone && unit < rows * groups; ++unit) quantiseGroup(unit);
#pragma omp parallel if (rows * weight.outputs * inputs > parallelMultiplyAdds())
  {
    if (!alone) {
#pragma omp for schedule(static)
      for (int64_t unit = 0; unit < rows * groups; ++unit) quantiseGroup(unit);
    }
    const auto tile = [&](int64_t row, int64_t tileRows, int64_t panel) {
      withConstant<kTileRows>(tileRows, [&](auto count) { product.run<count>(row, panel); });
    };
    forShareOfTiles<kTileRows>(rows, divideUp(weight.outputs, kPanel), omp_get_thread_num(),
                               omp_get_num_threads(), tile);
  }
}

}  // namespace hdpo
