// Rotary position embedding in place; native/cpu/rotary.cpp has the equations. A thread rotates the same
// pairs of a few heads, so that an angle is computed once for them.
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/rotary.h"
#include "cuda/rotary_angle.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int64_t kHeadsOfThread = 4;

template <typename T>
struct Rotation {
  T* qkv;
  const int32_t* positions;
  const float* inverseFrequencies;
  int64_t rows, width, heads, headDim;
  float sign;
};

template <typename T, int count>
__global__ void __launch_bounds__(kThreads) rotate(Rotation<T> given) {
  const int64_t half = given.headDim / 2, pieces = half / count;
  const int64_t headGroups = (given.heads + kHeadsOfThread - 1) / kHeadsOfThread;
  const int64_t item = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= given.rows * headGroups * pieces) return;
  const int64_t pair = item % pieces * count, firstHead = item / pieces % headGroups * kHeadsOfThread;
  const int64_t row = item / (pieces * headGroups);
  const double position = given.positions[row];
  float cosine[count], sine[count];
#pragma unroll
  for (int i = 0; i < count; ++i) {
    const Angle angle = rotaryAngle(position, given.inverseFrequencies[pair + i]);
    cosine[i] = angle.cosine;
    sine[i] = angle.sine * given.sign;
  }
  const int64_t lastHead =
      firstHead + kHeadsOfThread < given.heads ? firstHead + kHeadsOfThread : given.heads;
#pragma unroll
  for (int64_t head = firstHead; head < lastHead; ++head) {
    T* first = given.qkv + row * given.width + head * given.headDim + pair;
    T* second = first + half;
    if constexpr (count == 1) {
      const float a = toFloat(*first), b = toFloat(*second);
      *first = fromFloat<T>(a * cosine[0] - b * sine[0]);
      *second = fromFloat<T>(b * cosine[0] + a * sine[0]);
    } else {
      Pack<T> left = loadPack(first), right = loadPack(second);
#pragma unroll
      for (int i = 0; i < count; ++i) {
        const float a = toFloat(left.values[i]), b = toFloat(right.values[i]);
        left.values[i] = fromFloat<T>(a * cosine[i] - b * sine[i]);
        right.values[i] = fromFloat<T>(b * cosine[i] + a * sine[i]);
      }
      storePack(first, left);
      storePack(second, right);
    }
  }
}

}  // namespace

template <typename T>
void rotary(Stream stream, T* qkv, const int32_t* positions, const float* inverseFrequencies, int64_t rows,
            const AttentionShape& shape, int direction) {
  const int64_t width = shape.qkvWidth(), heads = shape.positionedHeads(), headDim = shape.headDim;
  const Rotation<T> given{qkv,   positions, inverseFrequencies,           rows, width,
                          heads, headDim,   static_cast<float>(direction)};
  const bool packed = inPacks<T>(width, qkv) && headDim / 2 % kPack<T> == 0;
  const int64_t pieces = headDim / 2 / (packed ? kPack<T> : 1), groups = blocksOf(heads, kHeadsOfThread);
  launch(packed ? rotate<T, kPack<T>> : rotate<T, 1>,
         static_cast<unsigned>(blocksOf(rows * groups * pieces, kThreads)), kThreads, 0, stream, given);
}

template void rotary(Stream, float*, const int32_t*, const float*, int64_t, const AttentionShape&, int);
template void rotary(Stream, BFloat16*, const int32_t*, const float*, int64_t, const AttentionShape&, int);

// --- The backend ---

void CudaBackend::rotary(const Tensor& qkv, const AttentionShape& shape, const int32_t* positions,
                         const float* inverseFrequencies, int direction) {
  const int64_t rows = qkv.shape[0], rotated = rows * shape.positionedHeads() * shape.headDim;
  if (rows == 0) return;
  const Scope scope(*this, "rotary", 3.0 * static_cast<double>(rotated));
  const auto uploaded =
      upload({{positions, static_cast<size_t>(rows) * sizeof(int32_t)},
              {inverseFrequencies, static_cast<size_t>(shape.headDim / 2) * sizeof(float)}});
  withType(qkv.dtype, "rotary", [&](auto element) {
    using T = decltype(element);
    cuda::rotary<T>(stream_, dataOf<T>(qkv), static_cast<const int32_t*>(uploaded[0]),
                    static_cast<const float*>(uploaded[1]), rows, shape, direction);
  });
}

}  // namespace hdpo::cuda
