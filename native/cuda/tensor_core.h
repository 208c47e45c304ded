// Products of small tiles on the tensor cores: mma.sync m16n8k16, with bfloat16 operands, float32 sums and a
// warp's fragments as the PTX manual lays them out. Lane l has g = l / 4 and t = l % 4:
//   A [16, 16]: a0 (row g, columns 2t, 2t + 1), a1 (row g + 8), a2 (columns + 8), a3 (both)
//   B [16, 8]:  b0 (rows 2t, 2t + 1, column g), b1 (rows + 8)
//   C, D [16, 8]: d0, d1 (row g, columns 2t, 2t + 1), d2, d3 (row g + 8)
// In 8-bit integers, with 32-bit sums, m16n8k32 has four elements per register:
//   A [16, 32]: a0 (row g, columns 4t to 4t + 3), a1 (row g + 8), a2 (columns + 16), a3 (both)
//   B [32, 8]:  b0 (rows 4t to 4t + 3, column g), b1 (rows + 16)
//   C, D as above
// Operands in shared memory are rows of `stride` elements, stride = width + kTilePad: 16-byte accesses of 8
// rows then fall into different banks. Each float operand is split into three bfloat16 (8 + 8 + 8 bits),
// multiplied in the six products that matter to float32: as exact as fused multiply-adds, and on the same
// indices. In the emulation, lanes exchange their fragments and each computes its part of D.
#pragma once

#include "cuda/element.h"
#include "cuda/reduce.h"

namespace hdpo::cuda {

constexpr int kTilePad = 8;

// Registers of one operand fragment: two bfloat16 per register, in `kParts` terms that add up to the values.
template <typename T>
constexpr int kParts = sizeof(T) == 4 ? 3 : 1;
template <typename T>
struct FragmentA {
  unsigned registers[kParts<T>][4];
};
template <typename T>
struct FragmentB {
  unsigned registers[kParts<T>][2];
};

__device__ inline unsigned packPair(float low, float high) {
#if defined(HDPO_CUDA_EMULATION)
  return static_cast<unsigned>(toBFloat16(low)) | static_cast<unsigned>(toBFloat16(high)) << 16;
#else
  unsigned result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#endif
}
__device__ inline float lowOf(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ inline float highOf(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// Splits two values into the parts of register r.
template <typename T, typename Fragment>
__device__ inline void setPair(Fragment& fragment, int r, float low, float high) {
#pragma unroll
  for (int part = 0; part < kParts<T>; ++part) {
    const unsigned pair = packPair(low, high);
    fragment.registers[part][r] = pair;
    low -= lowOf(pair);
    high -= highOf(pair);
  }
}

__device__ inline void multiplyAdd(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(HDPO_CUDA_EMULATION)
  const unsigned own[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const unsigned char* all = emulation::exchange(kAllLanes, own, sizeof(own));
  const int g = static_cast<int>(emulation::lane()) / 4, t = static_cast<int>(emulation::lane()) % 4;
  const auto element = [&](int lane, int word, int half) {
    unsigned pair;
    std::memcpy(&pair,
                all + static_cast<size_t>(lane) * emulation::kLaneBytes + static_cast<size_t>(word) * 4, 4);
    return half ? highOf(pair) : lowOf(pair);
  };
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    for (int k = 0; k < 16; ++k) {
      const int holder = k % 8 / 2, upper = k / 8;
      d[i] += element(row % 8 * 4 + holder, row / 8 + 2 * upper, k % 2) *
              element(column * 4 + holder, 4 + upper, k % 2);
    }
  }
  emulation::endExchange(kAllLanes);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// d = a * b + c for signed bytes.
__device__ inline void multiplyAdd(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                   const int (&c)[4]) {
#if defined(HDPO_CUDA_EMULATION)
  const unsigned own[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const unsigned char* all = emulation::exchange(kAllLanes, own, sizeof(own));
  const int g = static_cast<int>(emulation::lane()) / 4, t = static_cast<int>(emulation::lane()) % 4;
  const auto element = [&](int lane, int word, int byte) {
    return static_cast<int>(static_cast<signed char>(
        all[static_cast<size_t>(lane) * emulation::kLaneBytes + static_cast<size_t>(word * 4 + byte)]));
  };
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    int sum = c[i];
    for (int k = 0; k < 32; ++k) {
      const int holder = k % 16 / 4, upper = k / 16;
      sum += element(row % 8 * 4 + holder, row / 8 + 2 * upper, k % 4) *
             element(column * 4 + holder, 4 + upper, k % 4);
    }
    d[i] = sum;
  }
  emulation::endExchange(kAllLanes);
#else
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%10,%11,%12,%13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(c[0]), "r"(c[1]), "r"(c[2]),
        "r"(c[3]));
#endif
}

// d += a * b; the smallest products are added first.
template <typename T>
__device__ inline void multiplyAdd(float (&d)[4], const FragmentA<T>& a, const FragmentB<T>& b) {
#pragma unroll
  for (int total = kParts<T> - 1; total >= 0; --total) {
#pragma unroll
    for (int part = total; part >= 0; --part) multiplyAdd(d, a.registers[part], b.registers[total - part]);
  }
}

// Loads four 8 x 8 matrices of bfloat16. Lanes 8m to 8m + 7 name the rows of matrix m, which becomes register
// m.
template <bool transposed>
__device__ inline void loadMatrices(unsigned (&result)[4], const BFloat16* row) {
#if defined(HDPO_CUDA_EMULATION)
  emulation::requireAligned(row, 16);
  const unsigned char* all = emulation::exchange(kAllLanes, &row, sizeof(row));
  const int g = static_cast<int>(emulation::lane()) / 4, t = static_cast<int>(emulation::lane()) % 4;
  for (int m = 0; m < 4; ++m) {
    const auto element = [&](int r, int c) {
      const auto* source = emulation::valueOf<const BFloat16*>(all, static_cast<unsigned>(8 * m + r));
      return static_cast<unsigned>(source[c].bits);
    };
    result[m] = transposed ? element(2 * t, g) | element(2 * t + 1, g) << 16
                           : element(g, 2 * t) | element(g, 2 * t + 1) << 16;
  }
  emulation::endExchange(kAllLanes);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(result[0]), "=r"(result[1]), "=r"(result[2]), "=r"(result[3])
                 : "r"(address));
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(result[0]), "=r"(result[1]), "=r"(result[2]), "=r"(result[3])
                 : "r"(address));
  }
#endif
}

__device__ inline int laneIndex() { return static_cast<int>(threadIdx.x) % kWarp; }

// Loads A from rows [0, 16) and columns [0, 16) of a tile.
template <typename T>
__device__ inline void loadA(FragmentA<T>& fragment, const T* tile, int stride) {
  const int lane = laneIndex();
  if constexpr (sizeof(T) == 2) {
    loadMatrices<false>(fragment.registers[0], tile + lane % 16 * stride + lane / 16 * 8);
  } else {
    const T* first = tile + lane / 4 * stride + lane % 4 * 2;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const T* pair = first + r % 2 * 8 * stride + r / 2 * 8;
      setPair<T>(fragment, r, pair[0], pair[1]);
    }
  }
}

// Loads two neighbouring B, for columns [0, 8) and [8, 16) of the product. These columns are the tile's rows
// [0, 16); its columns [0, 16) are summed over.
template <typename T>
__device__ inline void loadB(FragmentB<T> (&fragments)[2], const T* tile, int stride) {
  const int lane = laneIndex();
  if constexpr (sizeof(T) == 2) {
    unsigned words[4];
    loadMatrices<false>(words, tile + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8);
#pragma unroll
    for (int i = 0; i < 4; ++i) fragments[i / 2].registers[0][i % 2] = words[i];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* pair = tile + (i / 2 * 8 + lane / 4) * stride + lane % 4 * 2 + i % 2 * 8;
      setPair<T>(fragments[i / 2], i % 2, pair[0], pair[1]);
    }
  }
}

// The same where the sum runs over the tile's rows, and its columns are those of the product.
template <typename T>
__device__ inline void loadTransposedB(FragmentB<T> (&fragments)[2], const T* tile, int stride) {
  const int lane = laneIndex();
  if constexpr (sizeof(T) == 2) {
    unsigned words[4];
    loadMatrices<true>(words, tile + (lane / 8 % 2 * 8 + lane % 8) * stride + lane / 16 * 8);
#pragma unroll
    for (int i = 0; i < 4; ++i) fragments[i / 2].registers[0][i % 2] = words[i];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* first = tile + (i % 2 * 8 + lane % 4 * 2) * stride + i / 2 * 8 + lane / 4;
      setPair<T>(fragments[i / 2], i % 2, first[0], first[stride]);
    }
  }
}

// Turns two products that lie side by side, D [16, 16] of 8 columns each, into the A of a product that sums
// over those columns.
template <typename T>
__device__ inline void asA(FragmentA<T>& fragment, const float (&left)[4], const float (&right)[4]) {
  setPair<T>(fragment, 0, left[0], left[1]);
  setPair<T>(fragment, 1, left[2], left[3]);
  setPair<T>(fragment, 2, right[0], right[1]);
  setPair<T>(fragment, 3, right[2], right[3]);
}

// Copies 16 bytes from global to shared memory, or writes zeros. They are there after waitForCopies and a
// barrier.
__device__ inline void copyAsync(void* shared, const void* global, bool valid) {
#if defined(HDPO_CUDA_EMULATION)
  emulation::requireAligned(global, 16);
  emulation::copyLater(shared, valid ? global : nullptr, 16);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
               "r"(valid ? 16 : 0));
#endif
}
// Ends a group of copies.
__device__ inline void commitCopies() {
#if defined(HDPO_CUDA_EMULATION)
  emulation::commitCopies();
#else
  asm volatile("cp.async.commit_group;");
#endif
}
// Waits until all but the latest `groups` groups of this thread's copies have arrived.
template <int groups>
__device__ inline void waitForCopies() {
#if defined(HDPO_CUDA_EMULATION)
  emulation::waitForCopies(groups);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(groups));
#endif
}

// Copies `rows` rows of `columns` elements, row r at rowAt(r), into a tile of shared memory [rows, width],
// with zeros beyond `columns` and beyond `validRows` (at least 1). `packed`: columns and addresses allow
// 16-byte copies, which arrive at waitForCopies.
template <typename T, int rows, int width, int threads, typename RowAt>
__device__ inline void copyRowsToTile(T* tile, const RowAt& rowAt, int validRows, int columns, bool packed) {
  constexpr int kStride = width + kTilePad;
  if (packed) {
    constexpr int kPacksOfRow = width / kPack<T>;
    static_assert(rows * kPacksOfRow % threads == 0);
#pragma unroll 1
    for (int i = 0; i < rows * kPacksOfRow / threads; ++i) {
      const int item = i * threads + static_cast<int>(threadIdx.x);
      const int row = item / kPacksOfRow, column = item % kPacksOfRow * kPack<T>;
      const bool valid = row < validRows && column < columns;
      copyAsync(tile + row * kStride + column, valid ? rowAt(row) + column : rowAt(0), valid);
    }
  } else {
    for (int item = static_cast<int>(threadIdx.x); item < rows * width; item += threads) {
      const int row = item / width, column = item % width;
      const bool valid = row < validRows && column < columns;
      tile[row * kStride + column] = valid ? rowAt(row)[column] : fromFloat<T>(0);
    }
  }
}

// The same for a matrix whose rows lie `rowStride` elements apart.
template <typename T, int rows, int width, int threads>
__device__ inline void copyTile(T* tile, const T* matrix, int64_t rowStride, int validRows, int columns,
                                bool packed) {
  const auto rowAt = [&](int row) { return matrix + row * rowStride; };
  copyRowsToTile<T, rows, width, threads>(tile, rowAt, validRows, columns, packed);
}

}  // namespace hdpo::cuda
