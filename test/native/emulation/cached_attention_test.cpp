#include "cuda/cached_attention.h"

#include <doctest/doctest.h>

#include "kernel_test.h"

using namespace hdpo;

namespace {

// Sequences in a cache of scrambled blocks, where the last token of each is a row. Places to which no token
// was written are NaN.
template <typename T, typename C>
class Fixture {
 public:
  Fixture(const AttentionShape& shape, const std::vector<int32_t>& lengths)
      : shape_(shape), lengths_(lengths) {
    int32_t blocks = 0;
    for (const int32_t length : lengths) {
      blocks += static_cast<int32_t>((length + kvBlockTokens - 1) / kvBlockTokens);
      longest_ = std::max(longest_, int64_t{length});
    }
    stride_ = (longest_ + kvBlockTokens - 1) / kvBlockTokens;
    cache_.assign(static_cast<size_t>(blocks * 2 * shape.kvHeads * shape.headDim * kvBlockTokens),
                  cuda::fromFloat<C>(std::numeric_limits<float>::quiet_NaN()));
    const int32_t step = blocks % 7 == 0 ? 5 : 7;
    int32_t next = 0;
    for (size_t s = 0; s < lengths.size(); ++s) {
      tables_.emplace_back();
      for (int64_t t = 0; t < lengths[s]; t += kvBlockTokens) tables_[s].push_back(next++ * step % blocks);
      tables_[s].resize(static_cast<size_t>(stride_), -1);
      qkv_.push_back(rounded<C>(rounded<T>(randomValues(lengths[s] * width(), 100 + s))));
      std::vector<int32_t> tables, visible;
      for (int32_t t = 1; t <= lengths[s]; ++t) {
        tables.insert(tables.end(), tables_[s].begin(), tables_[s].end());
        visible.push_back(t);
      }
      const std::vector<T> rows = toType<T>(qkv_[s]);
      cuda::writeCache(nullptr, cache_.data(), rows.data(),
                       {lengths[s], tables.data(), stride_, visible.data(), lengths[s]}, shape_);
    }
  }

  Values attend(const std::vector<size_t>& sequences, size_t limit = cuda::kCachedAttentionBytes) {
    std::vector<int32_t> tables, lengths;
    Values qkv;
    int64_t longest = 0;
    for (const size_t s : sequences) {
      tables.insert(tables.end(), tables_[s].begin(), tables_[s].end());
      lengths.push_back(lengths_[s]);
      longest = std::max(longest, int64_t{lengths_[s]});
      qkv.insert(qkv.end(), qkv_[s].end() - width(), qkv_[s].end());
    }
    const auto count = static_cast<int64_t>(sequences.size());
    const cuda::CachedRows rows{count, tables.data(), stride_, lengths.data(), longest};
    const std::vector<T> in = toType<T>(qkv);
    std::vector<T> out(static_cast<size_t>(count * shape_.outWidth()), cuda::fromFloat<T>(9));
    Scratch workspace(cuda::cachedAttentionWorkspaceBytes(rows, shape_, limit));
    cuda::cachedAttention(nullptr, out.data(), cache_.data(), in.data(), rows, shape_, workspace.data(),
                          limit);
    return toFloats(out);
  }

  Values expected(size_t s) {
    ReferenceBackend reference;
    const int64_t length = lengths_[s], columns = shape_.outWidth();
    Values out(static_cast<size_t>(length * columns)), logSumExp(static_cast<size_t>(length * shape_.heads));
    const std::vector<int32_t> offsets = {0, lengths_[s]};
    reference.attention(view(out, {length, columns}), view(logSumExp, {length, shape_.heads}),
                        view(qkv_[s], {length, width()}), offsets.data(), 1, shape_);
    return Values(out.end() - columns, out.end());
  }

 private:
  int64_t width() const { return shape_.qkvWidth(); }

  AttentionShape shape_;
  std::vector<int32_t> lengths_;
  int64_t longest_ = 0, stride_ = 0;
  std::vector<C> cache_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<Values> qkv_;
};

template <typename T, typename C>
void checkCached(double tolerance) {
  const std::vector<int32_t> lengths = {1, 16, 17, 79, 256, 257, 530};
  for (const AttentionShape& shape :
       {AttentionShape{1, 1, 2}, {4, 2, 16}, {3, 1, 20}, {5, 1, 64}, {9, 1, 8}, {2, 2, 128}, {1, 1, 162}}) {
    CAPTURE(shape.headDim);
    emulation::setSeed(static_cast<uint64_t>(shape.headDim));
    Fixture<T, C> fixture(shape, lengths);
    std::vector<size_t> everyone;
    for (size_t s = 0; s < lengths.size(); ++s) everyone.push_back(s);
    const Values together = fixture.attend(everyone);
    const int64_t columns = shape.heads * shape.headDim;
    for (size_t s = 0; s < lengths.size(); ++s) {
      CAPTURE(lengths[s]);
      const auto begin = together.begin() + static_cast<int64_t>(s) * columns;
      const Values row(begin, begin + columns);
      CHECK(relativeDifference(row, fixture.expected(s)) < tolerance);
      CHECK(fixture.attend({s}) == row);  // whatever else is in the batch
    }
  }
}

}  // namespace

TEST_CASE(
    "cuda cachedAttention: agrees with attention of the whole sequence, and a row alone has the same bits") {
  checkCached<float, float>(3e-6);
  checkCached<float, cuda::BFloat16>(3e-6);
  checkCached<cuda::BFloat16, cuda::BFloat16>(8e-3);
}

TEST_CASE(
    "cuda cachedAttention: rows that share a small workspace in turn have the bits of rows side by side") {
  const AttentionShape shape{4, 2, 16};
  Fixture<float, float> fixture(shape, {1, 300, 17, 256, 530});
  const std::vector<size_t> everyone = {0, 1, 2, 3, 4};
  const Values together = fixture.attend(everyone);
  for (const size_t limit : {1, 2048, 4096}) CHECK(fixture.attend(everyone, limit) == together);
}

// A step of a GPU's default size, in which some rows have a long context.
TEST_CASE("cuda cachedAttention: the workspace has a bound, however many and long the rows are") {
  for (const AttentionShape& shape : {AttentionShape{16, 8, 128}, {64, 8, 128}}) {
    CHECK(cuda::cachedAttentionWorkspaceBytes({2048, nullptr, 0, nullptr, 32'768}, shape) <= size_t{64}
                                                                                                 << 20);
    CHECK(cuda::cachedAttentionWorkspaceBytes({2048, nullptr, 0, nullptr, 32'768}, shape) >= size_t{60}
                                                                                                 << 20);
    const size_t one = cuda::cachedAttentionWorkspaceBytes({1, nullptr, 0, nullptr, 1 << 24}, shape);
    CHECK(one >= 65'536 * static_cast<size_t>(shape.heads * shape.headDim) * sizeof(float));
  }
}

TEST_CASE("cuda cachedAttention: a row of length 0 is neither read nor written") {
  const AttentionShape shape{2, 1, 8};
  const Values qkv = randomValues(3 * 32, 5);
  const std::vector<int32_t> tables = {0, 1 << 30, 1}, lengths = {3, 0, 16};
  const cuda::CachedRows rows{3, tables.data(), 1, lengths.data(), 1024};
  std::vector<float> cache(2 * 2 * 8 * kvBlockTokens, 0.25f), alone = cache;
  cuda::writeCache(nullptr, cache.data(), qkv.data(), rows, shape);
  CHECK(cache[2 * 8] == qkv[16]);  // token 2 of block 0
  std::vector<float> out(3 * 16, 9.0f);
  Scratch workspace(cuda::cachedAttentionWorkspaceBytes(rows, shape));
  cuda::cachedAttention(nullptr, out.data(), cache.data(), qkv.data(), rows, shape, workspace.data());
  CHECK(std::vector<float>(out.begin() + 16, out.begin() + 32) == std::vector<float>(16, 9.0f));
  const std::vector<int32_t> ownTables = {0, 1}, ownLengths = {3, 16};
  Values ownQkv(qkv.begin(), qkv.begin() + 32);
  ownQkv.insert(ownQkv.end(), qkv.begin() + 64, qkv.end());
  const cuda::CachedRows own{2, ownTables.data(), 1, ownLengths.data(), 16};
  cuda::writeCache(nullptr, alone.data(), ownQkv.data(), own, shape);
  CHECK(alone == cache);
  std::vector<float> expected(2 * 16);
  cuda::cachedAttention(nullptr, expected.data(), alone.data(), ownQkv.data(), own, shape, workspace.data());
  CHECK(std::equal(out.begin(), out.begin() + 16, expected.begin()));
  CHECK(std::equal(out.begin() + 32, out.end(), expected.begin() + 16));
}
