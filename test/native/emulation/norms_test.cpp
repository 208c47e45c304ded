#include <doctest/doctest.h>

#include "cuda/head_norm.h"
#include "cuda/rms_norm.h"
#include "cuda/rotary.h"
#include "kernel_test.h"

using namespace hdpo;

TEST_CASE_TEMPLATE("cuda rmsNorm: forward and backward agree with the reference", T, float, cuda::BFloat16) {
  ReferenceBackend reference;
  const double tolerance = std::is_same_v<T, float> ? 3e-6 : 8e-3;
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 5}, {3, 15}, {19, 16}, {9, 520}, {33, 1024}, {2, 4104}, {1, 17000}}) {
    CAPTURE(columns);
    emulation::setSeed(static_cast<uint64_t>(columns));
    const int64_t count = rows * columns;
    const Values x = randomValues(count, 1), gradY = rounded<T>(randomValues(count, 2)),
                 weight = randomValues(columns, 3), before = randomValues(count, 4);
    Values y(x.size()), inverse(static_cast<size_t>(rows)), gradX(x.size()), added = before,
                                                                             gradWeight(weight.size(), 0.5f);
    const auto rowsOf = [&](const Values& values) { return view(values, {rows, columns}); };
    const Tensor w = view(weight, {columns}), gradW = view(gradWeight, {columns}),
                 inverseRms = view(inverse, {rows});
    reference.rmsNorm(rowsOf(y), inverseRms, rowsOf(x), w, 1e-5f);
    reference.rmsNormBackward(rowsOf(gradX), false, gradW, rowsOf(gradY), rowsOf(x), w, inverseRms);
    reference.rmsNormBackward(rowsOf(added), true, gradW, rowsOf(gradY), rowsOf(x), w, inverseRms);

    const std::vector<T> grad = toType<T>(gradY);
    std::vector<T> out(x.size(), cuda::fromFloat<T>(9));
    Values foundX(x.size(), 9), foundAdded = before, foundInverse(inverse.size(), 9),
                                foundWeight(weight.size(), 0.5f);
    cuda::rmsNorm(nullptr, out.data(), static_cast<float*>(nullptr), x.data(), weight.data(), {rows, columns},
                  1e-5f);
    cuda::rmsNorm(nullptr, out.data(), foundInverse.data(), x.data(), weight.data(), {rows, columns}, 1e-5f);
    Scratch workspace(cuda::rmsNormBackwardWorkspaceBytes({rows, columns}));
    const auto backward = [&](Values& target, bool accumulate, float* weightGradient) {
      cuda::rmsNormBackward(nullptr, target.data(), accumulate, weightGradient, grad.data(), x.data(),
                            weight.data(), foundInverse.data(), {rows, columns}, workspace.data());
    };
    backward(foundX, false, foundWeight.data());
    backward(foundAdded, true, foundWeight.data());
    CHECK(relativeDifference(toFloats(out), y) < tolerance);
    CHECK(relativeDifference(foundInverse, inverse) < 3e-6);
    CHECK(relativeDifference(foundX, gradX) < 3e-6);
    CHECK(relativeDifference(foundAdded, added) < 3e-6);
    CHECK(relativeDifference(foundWeight, gradWeight) < 3e-6);
    Values sum = x, both(x.size());
    for (size_t i = 0; i < x.size(); ++i) both[i] = x[i] + before[i];
    std::vector<T> together(x.size(), cuda::fromFloat<T>(9)), apart = together;
    cuda::addThenRmsNorm(nullptr, together.data(), sum.data(), before.data(), weight.data(), {rows, columns},
                         1e-5f);
    cuda::rmsNorm(nullptr, apart.data(), static_cast<float*>(nullptr), both.data(), weight.data(),
                  {rows, columns}, 1e-5f);
    CHECK(sum == both);
    CHECK(toFloats(together) == toFloats(apart));
    Values frozen(x.size(), 9);
    backward(frozen, false, nullptr);
    CHECK(frozen == foundX);
  }
}

TEST_CASE_TEMPLATE("cuda headNorm: forward and backward agree with the reference", T, float, cuda::BFloat16) {
  ReferenceBackend reference;
  const double tolerance = std::is_same_v<T, float> ? 3e-6 : 8e-3;
  for (const cuda::HeadNormShape& shape : {cuda::HeadNormShape{{1, 1, 2}, 1},
                                           {{4, 2, 16}, 3},
                                           {{3, 1, 20}, 5},
                                           {{4, 2, 64}, 9},
                                           {{5, 1, 128}, 7},
                                           {{2, 2, 162}, 2}}) {
    CAPTURE(shape.headDim);
    emulation::setSeed(static_cast<uint64_t>(shape.headDim));
    const int64_t rows = shape.rows, headDim = shape.headDim, normed = shape.positionedHeads();
    const int64_t width = shape.qkvWidth(), count = rows * width;
    const Values qkv = rounded<T>(randomValues(count, 1)), grad = rounded<T>(randomValues(count, 2)),
                 queryWeight = randomValues(headDim, 3), keyWeight = randomValues(headDim, 4);
    Values out(qkv.size()), inverse(static_cast<size_t>(rows * normed)),
        gradQkv = grad, gradQuery(queryWeight.size(), 0.5f), gradKey = gradQuery;
    const auto rowsOf = [&](const Values& values) { return view(values, {rows, width}); };
    const auto row = [](const Values& values) { return view(values, {static_cast<int64_t>(values.size())}); };
    const Tensor inverseRms = view(inverse, {rows, normed});
    reference.headNorm(rowsOf(out), inverseRms, rowsOf(qkv), row(queryWeight), row(keyWeight), shape, 1e-5f);
    reference.headNormBackward(rowsOf(gradQkv), row(gradQuery), row(gradKey), rowsOf(qkv), row(queryWeight),
                               row(keyWeight), inverseRms, shape);

    const std::vector<T> in = toType<T>(qkv);
    std::vector<T> found(qkv.size(), cuda::fromFloat<T>(9)), inPlace = in, foundGrad = toType<T>(grad);
    Values foundInverse(inverse.size(), 9), foundQuery(gradQuery.size(), 0.5f), foundKey = foundQuery;
    cuda::headNorm(nullptr, found.data(), foundInverse.data(), in.data(), queryWeight.data(),
                   keyWeight.data(), shape, 1e-5f);
    cuda::headNorm(nullptr, inPlace.data(), static_cast<float*>(nullptr),
                   static_cast<const T*>(inPlace.data()), queryWeight.data(), keyWeight.data(), shape, 1e-5f);
    Scratch workspace(cuda::headNormBackwardWorkspaceBytes(shape));
    cuda::headNormBackward(nullptr, foundGrad.data(), foundQuery.data(), foundKey.data(), in.data(),
                           queryWeight.data(), keyWeight.data(), foundInverse.data(), shape,
                           workspace.data());
    CHECK(relativeDifference(toFloats(found), out) < tolerance);
    CHECK(toFloats(found) == toFloats(inPlace));
    CHECK(relativeDifference(foundInverse, inverse) < 3e-6);
    CHECK(relativeDifference(toFloats(foundGrad), gradQkv) < tolerance);
    CHECK(relativeDifference(foundQuery, gradQuery) < 3e-6);
    CHECK(relativeDifference(foundKey, gradKey) < 3e-6);
    std::vector<T> frozen = toType<T>(grad);
    cuda::headNormBackward(nullptr, frozen.data(), nullptr, nullptr, in.data(), queryWeight.data(),
                           keyWeight.data(), foundInverse.data(), shape, workspace.data());
    CHECK(toFloats(frozen) == toFloats(foundGrad));
  }
}

TEST_CASE_TEMPLATE("cuda rotary: both directions agree with the reference, far positions too", T, float,
                   cuda::BFloat16) {
  ReferenceBackend reference;
  const double tolerance = std::is_same_v<T, float> ? 2e-6 : 8e-3;
  for (const AttentionShape& shape : {AttentionShape{1, 1, 2}, {3, 1, 20}, {5, 2, 64}, {9, 4, 128}}) {
    CAPTURE(shape.headDim);
    const int64_t rows = 7, width = shape.qkvWidth(), headDim = shape.headDim;
    const std::vector<int32_t> positions = {0, 1, 2, 77, 4095, 131071, 1000003};
    Values frequencies;
    for (int64_t i = 0; i < headDim / 2; ++i) {
      frequencies.push_back(
          static_cast<float>(std::pow(1e6, -2.0 * static_cast<double>(i) / static_cast<double>(headDim))));
    }
    for (const int direction : {1, -1}) {
      Values expected = rounded<T>(randomValues(rows * width, 1));
      std::vector<T> found = toType<T>(expected);
      reference.rotary(view(expected, {rows, width}), shape, positions.data(), frequencies.data(), direction);
      cuda::rotary(nullptr, found.data(), positions.data(), frequencies.data(), rows, shape, direction);
      CHECK(relativeDifference(toFloats(found), expected) < tolerance);
    }
  }
}
