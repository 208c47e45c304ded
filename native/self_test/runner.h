// Runs the table on a backend beside a reference, and times it. `hdpo doctor --self-test` prints the results
// and the native tests check them.
#pragma once

#include <string>
#include <vector>

#include "self_test/op_case.h"

namespace hdpo::self_test {

enum class Outcome : uint8_t { Passed, Failed, NotImplemented };

struct OpResult {
  std::string name, shape;
  Outcome outcome = Outcome::Passed;
  std::string reason;             // why it failed
  double error = 0, allowed = 0;  // the largest over results and checked shapes
  // Per call, at the timed shape; 0 where it is not timed.
  double seconds = 0, bytesPerSecond = 0, flopsPerSecond = 0;
  // The time that the ceilings allow over the time taken. The ceilings allow what its bytes take at the rate
  // of a copy, or its products at the rate of a large product, whichever is longer.
  double shareOfCeiling = 0;
};

struct Ceilings {
  double copyBytesPerSecond = 0;  // bytes of a large copy, read and written ones both counted
  double float32FlopsPerSecond = 0, bfloat16FlopsPerSecond = 0;
};

struct Report {
  std::string device;
  Ceilings ceilings;
  std::vector<OpResult> ops;
};

// Compares both backends on the same operands, at every checked shape. An error that an op throws is a
// failure of that op alone.
OpResult checkOp(const OpRow& row, Backend& tested, Backend& reference);
// Fills in the times.
void timeOp(const OpRow& row, const CaseShape& shape, Backend& tested, const Ceilings& ceilings,
            OpResult& result);
Ceilings measureCeilings(Backend& backend, const CaseShape& shape);

// A shape that keeps the device busy, and does not keep a CPU busy for long.
CaseShape timedShape(const Backend& backend);

// Compares the HDPO kernels with float64 on any device: every rule of docs/algorithm.md on small cases.
std::vector<OpResult> checkHdpo(Backend& tested);

// Runs the whole table and the rules; with `timed`, every op that passed is timed.
Report run(Backend& tested, Backend& reference, bool timed);

}  // namespace hdpo::self_test
