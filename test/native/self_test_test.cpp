// The self-test's table passes on the CPU, and it notices what is wrong.
#include <doctest/doctest.h>

#include <cstring>

#include "self_test/reference_backend.h"
#include "self_test/runner.h"

using namespace hdpo;
using namespace hdpo::self_test;

namespace {

// The float64 loops, with one op made wrong in a given way.
class BrokenBackend final : public ReferenceBackend {
 public:
  enum class Fault { None, SmallError, LeavesPoison, NotFinite, Absent, Throws };
  Fault fault = Fault::None;

  void swiglu(const Tensor& out, const Tensor& gateUp) override {
    if (fault == Fault::Absent) throw Error("ERR_NOT_IMPLEMENTED", "swiglu on this device");
    if (fault == Fault::Throws) throw Error("ERR_CUDA", "an illegal memory access");
    const Tensor written = fault == Fault::LeavesPoison ? out.rows(0, out.shape[0] - 1) : out;
    ReferenceBackend::swiglu(written, gateUp);
    if (fault == Fault::SmallError) out.f32()[out.count() / 2] += 0.01f;
    if (fault == Fault::NotFinite) out.f32()[0] = std::numeric_limits<float>::infinity();
  }
};

// Normalises efficiency over the whole group, the mistake that HDPO is about, and leaves out the loss's dual
// clip.
class CoupledBackend final : public ReferenceBackend {
 public:
  void groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) override {
    const std::vector<uint8_t> everyone(static_cast<size_t>(input.rollouts), 1);
    GroupAdvantagesInput coupled = input;
    coupled.correct = everyone.data();
    ReferenceBackend::groupAdvantages(coupled, output);
  }
  PolicyLossSums policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) override {
    PolicyLossInput unclipped = input;
    unclipped.options.dualClip = 1e30f;
    return ReferenceBackend::policyLoss(unclipped, output);
  }
};

OpRow rowNamed(const std::string& name) {
  for (const OpRow& row : opTable(ReferenceBackend())) {
    if (name == row.name) return row;
  }
  throw Error("ERR_TEST", "no row " + name);
}

OpResult checkSwigluWith(BrokenBackend::Fault fault) {
  BrokenBackend broken;
  ReferenceBackend reference;
  broken.fault = fault;
  return checkOp(rowNamed("swiglu"), broken, reference);
}

}  // namespace

TEST_CASE("self-test: every op of the CPU passes, with one thread and with two") {
  ReferenceBackend reference;
  for (const int threads : {1, 2}) {
    const auto cpu = createCpuBackend(threads);
    for (const OpRow& row : opTable(*cpu)) {
      const OpResult result = checkOp(row, *cpu, reference);
      CAPTURE(result.name);
      CAPTURE(result.reason);
      CHECK(result.outcome == Outcome::Passed);
      CHECK(result.error <= result.allowed);
    }
  }
}

TEST_CASE("self-test: an op that is wrong fails, whatever is wrong with it") {
  using Fault = BrokenBackend::Fault;
  CHECK(checkSwigluWith(Fault::None).outcome == Outcome::Passed);
  for (const Fault fault : {Fault::SmallError, Fault::LeavesPoison, Fault::NotFinite, Fault::Throws}) {
    const OpResult result = checkSwigluWith(fault);
    CHECK(result.outcome == Outcome::Failed);
    CHECK_FALSE(result.reason.empty());
  }
  CHECK(checkSwigluWith(Fault::Throws).reason == "an illegal memory access");
}

TEST_CASE("self-test: an op that a device has not says so and is no failure") {
  const OpResult result = checkSwigluWith(BrokenBackend::Fault::Absent);
  CHECK(result.outcome == Outcome::NotImplemented);
  CHECK(result.reason == "swiglu on this device");
}

TEST_CASE("self-test: times come with rates and a share of the ceiling") {
  const auto cpu = createCpuBackend(2);
  const CaseShape shape{64, 2, 64, 128, 4, 2, 16, 256};
  const Ceilings ceilings = measureCeilings(*cpu, shape);
  CHECK(ceilings.copyBytesPerSecond > 1e6);
  CHECK(ceilings.float32FlopsPerSecond > 1e6);
  CHECK(ceilings.bfloat16FlopsPerSecond > 1e6);
  for (const char* name : {"add", "matmul x W^T", "linearLoss"}) {
    OpResult result;
    timeOp(rowNamed(name), shape, *cpu, ceilings, result);
    CAPTURE(name);
    CHECK(result.outcome == Outcome::Passed);
    CHECK(result.seconds > 0);
    CHECK(result.bytesPerSecond > 0);
    CHECK(result.shareOfCeiling > 0);
  }
}

TEST_CASE("self-test: the rules of HDPO hold on the CPU; a device that breaks one is told which") {
  const auto cpu = createCpuBackend(2);
  for (const OpResult& result : checkHdpo(*cpu)) {
    CAPTURE(result.name);
    CAPTURE(result.reason);
    CHECK(result.outcome == Outcome::Passed);
    CHECK(result.allowed > 0);
  }
  CoupledBackend coupled;
  const std::vector<OpResult> broken = checkHdpo(coupled);
  CHECK(broken[0].outcome == Outcome::Failed);
  CHECK(broken[0].reason.ends_with(
      "at the rule 'accuracy over the group, efficiency over its right rollouts'"));
  CHECK(broken[1].outcome == Outcome::Failed);
  CHECK(broken[1].reason.ends_with("at the rule 'ratio clamped, clipped at both sides and dual-clipped'"));
}
