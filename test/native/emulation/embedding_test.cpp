#include "cuda/embedding.h"

#include <doctest/doctest.h>

#include "kernel_test.h"

using namespace hdpo;

namespace {

template <typename T, typename W>
void checkEmbedding(const std::vector<int32_t>& tokens, int64_t vocabSize, int64_t columns) {
  ReferenceBackend reference;
  const auto rows = static_cast<int64_t>(tokens.size());
  const Values table = rounded<W>(randomValues(vocabSize * columns, 1)),
               gradOut = rounded<T>(randomValues(rows * columns, 2));
  Values expected(gradOut.size());
  reference.embedding(view(expected, {rows, columns}), view(table, {vocabSize, columns}), tokens.data());
  std::vector<T> out(gradOut.size(), cuda::fromFloat<T>(9));
  const std::vector<W> stored = toType<W>(table);
  cuda::embedding(nullptr, out.data(), stored.data(), tokens.data(), {rows, columns});
  CHECK(toFloats(out) == rounded<T>(expected));

  Values gradTable(table.size(), 0.5f), expectedGrad = gradTable;
  for (int64_t r = 0; r < rows; ++r) {  // in the order of the batch, in float32
    for (int64_t c = 0; c < columns; ++c) {
      expectedGrad[static_cast<size_t>(tokens[static_cast<size_t>(r)] * columns + c)] +=
          gradOut[static_cast<size_t>(r * columns + c)];
    }
  }
  const std::vector<T> grad = toType<T>(gradOut);
  Scratch workspace(cuda::embeddingBackwardWorkspaceBytes(rows, vocabSize));
  cuda::embeddingBackward(nullptr, gradTable.data(), grad.data(), tokens.data(), {rows, columns}, vocabSize,
                          workspace.data());
  CHECK(gradTable == expectedGrad);
}

}  // namespace

TEST_CASE(
    "cuda embedding: every pair of types; sums of repeated tokens in the order of the batch, bit for bit") {
  for (const auto& [rows, vocabSize, columns] :
       std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {7, 3, 12}, {300, 50, 16}, {530, 1000, 264}}) {
    CAPTURE(rows);
    std::vector<int32_t> tokens;
    for (int64_t r = 0; r < rows; ++r) {
      const uint32_t bits = philox(7, 0, static_cast<uint64_t>(r))[0];
      tokens.push_back(r % 3 == 0 ? static_cast<int32_t>(vocabSize - 1)
                                  : static_cast<int32_t>(bits % static_cast<uint64_t>(vocabSize)));
    }
    emulation::setSeed(static_cast<uint64_t>(rows));
    checkEmbedding<float, float>(tokens, vocabSize, columns);
    checkEmbedding<float, cuda::BFloat16>(tokens, vocabSize, columns);
    checkEmbedding<cuda::BFloat16, float>(tokens, vocabSize, columns);
    checkEmbedding<cuda::BFloat16, cuda::BFloat16>(tokens, vocabSize, columns);
  }
}
