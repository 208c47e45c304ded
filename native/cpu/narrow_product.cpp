// b is packed into panels of kPanel columns, panels[panel][P / 2][kPanel][2], padded with zeros
// (packed_bfloat16.cpp has the same layout). Each thread goes through its rows kGroupRows at a time, and for
// each group through the panels from left to right, so that `out` is read and written row by row.
#include "cpu/narrow_product.h"

#include <algorithm>
#include <cassert>

#include "cpu/bfloat16_pairs.h"
#include "cpu/packed_matmul.h"

namespace hdpo {

#if defined(__AVX512BF16__)

namespace {

constexpr int64_t kPanel = kPairPanel;
// Rows that use a panel while it is in the first level of cache.
constexpr int64_t kGroupRows = 2 * kPairTileRows;
constexpr int64_t kLongestInner = 128, kFewestRows = 128, kFewestColumns = 512;

struct Product {
  float* out;
  const uint16_t *a, *panels;
  int64_t columns, pairs;

  template <int tileRows>
  [[gnu::noinline]] void run(int64_t row, int64_t panel) const {
    const uint16_t* from = a + row * pairs * 2;
    const uint16_t* weight = panels + panel * pairs * 2 * kPanel;
    float* target = out + row * columns + panel * kPanel;
    const int64_t width = std::min(kPanel, columns - panel * kPanel);
    const auto lanesOf = [width](int v) { return std::clamp(width - v * kLanes, int64_t{0}, kLanes); };
    Vector sums[tileRows][kPairVectors];
#pragma GCC unroll 8
    for (int r = 0; r < tileRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) {
        sums[r][v] = loadPartial(target + r * columns + v * kLanes, lanesOf(v));
        __builtin_prefetch(target + r * columns + kPanel + v * kLanes, 1);  // the part that comes next
      }
    }
    addPairProducts<tileRows>(sums, from, weight, pairs, false);
#pragma GCC unroll 8
    for (int r = 0; r < tileRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) {
        storePartial(target + r * columns + v * kLanes, sums[r][v], lanesOf(v));
      }
    }
  }
};

// Writes panel[P / 2][kPanel][2] of b's columns [begin, begin + width).
void packPanel(uint16_t* panel, const uint16_t* b, bool transposeB, int64_t begin, int64_t width,
               int64_t columns, int64_t inner) {
  for (int64_t p = 0; p < inner; ++p) {
    uint16_t* to = panel + p / 2 * 2 * kPanel + p % 2;
    const uint16_t* from = transposeB ? b + begin * inner + p : b + p * columns + begin;
    const int64_t stride = transposeB ? inner : 1;
    for (int64_t i = 0; i < width; ++i) to[2 * i] = from[i * stride];
    for (int64_t i = width; i < kPanel; ++i) to[2 * i] = 0;
  }
}

}  // namespace

bool narrowProductServes(int64_t rows, int64_t columns, int64_t inner) {
  return inner <= kLongestInner && inner % 2 == 0 && rows >= kFewestRows && columns >= kFewestColumns;
}

size_t narrowProductBytes(int64_t columns, int64_t inner) {
  return static_cast<size_t>(divideUp(columns, kPanel) * kPanel * inner) * sizeof(uint16_t);
}

void addNarrowProduct(const Tensor& out, const uint16_t* a, const uint16_t* b, bool transposeB, int64_t inner,
                      uint16_t* panels) {
  const int64_t rows = out.shape[0], columns = out.shape[1], count = divideUp(columns, kPanel);
  assert(inner % 2 == 0);
  const Product product{out.f32(), a, panels, columns, inner / 2};
#pragma omp parallel if (out.count() > parallelElements())
  {
#pragma omp for schedule(static)
    for (int64_t panel = 0; panel < count; ++panel) {
      const int64_t begin = panel * kPanel;
      packPanel(panels + begin * inner, b, transposeB, begin, std::min(kPanel, columns - begin), columns,
                inner);
    }
#pragma omp for schedule(static)
    for (int64_t group = 0; group < divideUp(rows, kGroupRows); ++group) {
      const int64_t end = std::min(rows, (group + 1) * kGroupRows);
      for (int64_t panel = 0; panel < count; ++panel) {
        for (int64_t row = group * kGroupRows; row < end; row += kPairTileRows) {
          withConstant<kPairTileRows>(std::min(kPairTileRows, end - row),
                                      [&](auto count) { product.run<count>(row, panel); });
        }
      }
    }
  }
}

#else

bool narrowProductServes(int64_t, int64_t, int64_t) { return false; }
size_t narrowProductBytes(int64_t, int64_t) { return 0; }
void addNarrowProduct(const Tensor&, const uint16_t*, const uint16_t*, bool, int64_t, uint16_t*) {
  assert(false);
}

#endif

}  // namespace hdpo
