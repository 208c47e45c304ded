#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

TEST_CASE("matmul: the CPU agrees with the reference for every transposition and beta") {
  struct Shape {
    int64_t rows, columns, inner;
  };
  for (const Shape& s :
       {Shape{1, 1, 1}, {1, 17, 15}, {16, 16, 16}, {17, 15, 33}, {127, 129, 65}, {300, 96, 64}}) {
    CAPTURE(s.rows);
    Values a = randomValues(s.rows * s.inner, 0), b = randomValues(s.inner * s.columns, 1);
    for (const bool transposeA : {false, true}) {
      for (const bool transposeB : {false, true}) {
        for (const float beta : {0.0f, 1.0f}) {
          checkAgainstReference(
              [&](Backend& backend) {
                // With beta 0 the product must not read what was there.
                Values out = beta == 0 ? Values(static_cast<size_t>(s.rows * s.columns), std::nanf(""))
                                       : randomValues(s.rows * s.columns, 2);
                backend.matmul(
                    Tensor(out.data(), {s.rows, s.columns}),
                    transposeA ? Tensor(a.data(), {s.inner, s.rows}) : Tensor(a.data(), {s.rows, s.inner}),
                    transposeA,
                    transposeB ? Tensor(b.data(), {s.columns, s.inner})
                               : Tensor(b.data(), {s.inner, s.columns}),
                    transposeB, beta);
                return std::vector<Values>{out};
              },
              1e-6, false);
        }
      }
    }
  }
}
