#include "core/float_formats.h"
#include "op_test.h"

using namespace hdpo;

namespace {

// Sequences in a cache, each of whose last tokens is a row. Blocks are given out in a scrambled order, and
// what no token has been written to is NaN.
class Fixture {
 public:
  Fixture(Backend& backend, const AttentionShape& shape, const std::vector<int32_t>& lengths, DType precision)
      : backend_(backend), shape_(shape), lengths_(lengths), precision_(precision) {
    int32_t blocks = 0;
    for (const int32_t length : lengths)
      blocks += static_cast<int32_t>((length + kvBlockTokens - 1) / kvBlockTokens);
    blocks_ = blocks;
    cache_.assign(
        static_cast<size_t>(blocks * 2 * shape.kvHeads * shape.headDim * kvBlockTokens) * sizeOf(precision),
        0xFF);
    const int32_t step = blocks % 7 == 0 ? 5 : 7;
    int32_t next = 0;
    for (size_t s = 0; s < lengths.size(); ++s) {
      tables_.emplace_back();
      for (int64_t t = 0; t < lengths[s]; t += kvBlockTokens) tables_[s].push_back(next++ * step % blocks);
      qkv_.push_back(randomValues(lengths[s] * shape.qkvWidth(), 100 + s));
      write(s);
    }
  }

  // Attention of the last token of the given sequences, in one call: [sequences, H * E].
  Values attend(const std::vector<size_t>& sequences) {
    std::vector<CachedAttentionRow> rows;
    Values qkv, out(sequences.size() * static_cast<size_t>(shape_.outWidth()), -7.0f);
    for (const size_t s : sequences) {
      rows.push_back({tables_[s].data(), lengths_[s]});
      qkv.insert(qkv.end(), qkv_[s].end() - shape_.qkvWidth(), qkv_[s].end());
    }
    const auto count = static_cast<int64_t>(sequences.size());
    backend_.cachedAttention(Tensor(out.data(), {count, shape_.outWidth()}), cache(),
                             Tensor(qkv.data(), {count, shape_.qkvWidth()}), rows.data(), shape_);
    return out;
  }

  // The same, computed by the reference's attention of the whole sequence.
  Values expected(size_t s) {
    ReferenceBackend reference;
    Values qkv = qkv_[s];
    if (precision_ == DType::BFloat16) {  // keys and values as the cache holds them
      for (size_t i = 0; i < qkv.size(); ++i) {
        const bool query = static_cast<int64_t>(i) % shape_.qkvWidth() < shape_.outWidth();
        if (!query) qkv[i] = fromBFloat16(toBFloat16(qkv[i]));
      }
    }
    const int64_t length = lengths_[s], columns = shape_.outWidth();
    Values out(static_cast<size_t>(length * columns)), logSumExp(static_cast<size_t>(length * shape_.heads));
    const std::vector<int32_t> offsets = {0, lengths_[s]};
    reference.attention(Tensor(out.data(), {length, columns}),
                        Tensor(logSumExp.data(), {length, shape_.heads}),
                        Tensor(qkv.data(), {length, shape_.qkvWidth()}), offsets.data(), 1, shape_);
    return Values(out.end() - columns, out.end());
  }

 private:
  Tensor cache() {
    return Tensor(cache_.data(), precision_, {blocks_, 2, shape_.kvHeads, shape_.headDim * kvBlockTokens});
  }
  void write(size_t s) {
    std::vector<CachedAttentionRow> rows;
    for (int32_t t = 0; t < lengths_[s]; ++t) rows.push_back({tables_[s].data(), t + 1});
    backend_.writeCache(cache(), Tensor(qkv_[s].data(), {lengths_[s], shape_.qkvWidth()}), rows.data(),
                        shape_);
  }

  Backend& backend_;
  const AttentionShape shape_;
  const std::vector<int32_t> lengths_;
  const DType precision_;
  int64_t blocks_ = 0;
  std::vector<uint8_t> cache_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<Values> qkv_;
};

const std::vector<int32_t> kLengths = {1, 2, 15, 16, 17, 31, 33, 64, 65, 79, 200, 321};

void checkCached(DType precision) {
  const auto one = createCpuBackend(1), two = createCpuBackend(2);
  for (const AttentionShape& shape : {AttentionShape{1, 1, 2},
                                      {2, 1, 6},
                                      {4, 2, 16},
                                      {6, 2, 20},
                                      {8, 4, 32},
                                      {5, 1, 48},
                                      {4, 4, 64},
                                      {2, 2, 80},
                                      {7, 1, 128},
                                      {3, 3, 162}}) {
    CAPTURE(shape.headDim);
    CAPTURE(shape.heads);
    Fixture fixture(*two, shape, kLengths, precision), single(*one, shape, kLengths, precision);
    std::vector<size_t> everyone;
    for (size_t s = 0; s < kLengths.size(); ++s) everyone.push_back(s);
    const Values together = fixture.attend(everyone);
    CHECK(together == single.attend(everyone));
    const int64_t columns = shape.outWidth();
    for (size_t s = 0; s < kLengths.size(); ++s) {
      CAPTURE(kLengths[s]);
      const auto begin = together.begin() + static_cast<int64_t>(s) * columns;
      const Values row(begin, begin + columns);
      CHECK(relativeDifference(row, fixture.expected(s)) < 2e-6);
      CHECK(fixture.attend({s}) == row);
      CHECK(fixture.attend({s, s, s}) == [&] {
        Values thrice;
        for (int i = 0; i < 3; ++i) thrice.insert(thrice.end(), row.begin(), row.end());
        return thrice;
      }());
    }
  }
}

}  // namespace

TEST_CASE(
    "cachedAttention: agrees with the reference for every head shape, and each row alone has the same bits") {
  checkCached(DType::Float32);
}

TEST_CASE("cachedAttention: keys and values in bfloat16 are those of the row, rounded") {
  checkCached(DType::BFloat16);
}
