// Runs the table on a backend beside a reference and measures it. What `hdpo doctor --self-test` prints, and
// what the native tests check.
#pragma once

#include <string>
#include <vector>

#include "self_test/op_case.h"

namespace hdpo::self_test {

enum class Outcome : uint8_t { Passed, Failed, NotImplemented };

struct OpResult {
  std::string name, shape;
  Outcome outcome = Outcome::Passed;
  std::string reason;             // of a failure
  double error = 0, allowed = 0;  // the largest over results and checked shapes
  // Of one call at the timed shape; 0: not timed.
  double seconds = 0, bytesPerSecond = 0, flopsPerSecond = 0;
  // Time that the ceilings allow (bytes at the rate of a copy or products at the rate of a large one,
  // whichever takes longer) over the time taken.
  double shareOfCeiling = 0;
};

struct Ceilings {
  double copyBytesPerSecond = 0;  // read and written bytes of a large copy, counted both
  double float32FlopsPerSecond = 0, bfloat16FlopsPerSecond = 0;
};

struct Report {
  std::string device;
  Ceilings ceilings;
  std::vector<OpResult> ops;
};

// On the same operands, at every checked shape. Errors that an op throws are failures of that op alone.
OpResult checkOp(const OpRow& row, Backend& tested, Backend& reference);
// Fills in the times.
void timeOp(const OpRow& row, const CaseShape& shape, Backend& tested, const Ceilings& ceilings,
            OpResult& result);
Ceilings measureCeilings(Backend& backend, const CaseShape& shape);

// A shape that keeps the device busy and a CPU not for long.
CaseShape timedShape(const Backend& backend);

// The HDPO kernels beside float64, whatever the device: every rule of docs/algorithm.md on small cases.
std::vector<OpResult> checkHdpo(Backend& tested);

// The whole table, and the rules; timed: every op that passed.
Report run(Backend& tested, Backend& reference, bool timed);

}  // namespace hdpo::self_test
