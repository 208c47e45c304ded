#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

TEST_CASE("embedding: the CPU agrees with the reference; repeated tokens add up in the order of the batch") {
  for (const auto& [rows, vocab, columns] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 1, 1}, {17, 3, 15}, {129, 50, 33}, {1000, 512, 128}, {4097, 7, 16}}) {
    CAPTURE(rows);
    CAPTURE(columns);
    const std::vector<int32_t> tokens = randomTokens(rows, vocab, 5);
    Values table = randomValues(vocab * columns, 0), gradOut = randomValues(rows * columns, 1);
    checkAgainstReference(
        [&, rows = rows, vocab = vocab, columns = columns](Backend& backend) {
          Values out(static_cast<size_t>(rows * columns)), fromBits = out, gradTable(table.size(), 0.25f);
          std::vector<uint16_t> bits(table.size());
          backend.convert(Tensor(bits.data(), DType::BFloat16, {vocab, columns}),
                          Tensor(table.data(), {vocab, columns}));
          backend.embedding(Tensor(fromBits.data(), {rows, columns}),
                            Tensor(bits.data(), DType::BFloat16, {vocab, columns}), tokens.data());
          backend.embedding(Tensor(out.data(), {rows, columns}), Tensor(table.data(), {vocab, columns}),
                            tokens.data());
          backend.embeddingBackward(Tensor(gradTable.data(), {vocab, columns}),
                                    Tensor(gradOut.data(), {rows, columns}), tokens.data());
          return std::vector<Values>{out, fromBits, gradTable};
        },
        1e-6);
  }
}
