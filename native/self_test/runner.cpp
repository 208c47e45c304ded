#include "self_test/runner.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/float_formats.h"
#include "ops/buffer.h"
#include "self_test/reference_backend.h"
#include "self_test/rules.h"

namespace hdpo::self_test {

namespace {

// How long one timing may take, in seconds, and how many calls it is made of.
constexpr double kTimedSeconds = 0.1;
constexpr int kMostCalls = 1000;

// Cheap, and the same on every machine: SplitMix64's output for (operand, index).
float uniformValue(size_t operand, int64_t index) {
  uint64_t z = (static_cast<uint64_t>(operand) << 40) + static_cast<uint64_t>(index) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<float>(z >> 40) * 0x1p-23f - 1;
}

std::vector<float> hostValues(const Operand& operand, size_t index) {
  std::vector<float> values(static_cast<size_t>(operand.count()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = operand.role == Role::Output
                    ? std::numeric_limits<float>::quiet_NaN()
                    : operand.offset + operand.scale * uniformValue(index, static_cast<int64_t>(i));
  }
  return values;
}

// A case's operands in a backend's memory.
class Placed {
 public:
  Placed(Backend& backend, const OpCase& given) : backend_(backend), given_(given) {
    for (const Operand& operand : given.operands) {
      Tensor tensor;
      tensor.dtype = operand.activation ? backend.activationType(operand.dtype) : operand.dtype;
      for (const int64_t dimension : operand.dimensions) tensor.shape[tensor.rank++] = dimension;
      buffers_.emplace_back(backend, std::max<size_t>(tensor.bytes(), 64));
      tensor.data = buffers_.back().data();
      call.tensors.push_back(tensor);
    }
    fill();
    if (given.prepare) given.prepare(backend, call);
  }

  // Everything that the call wrote; its results on the host come last.
  std::vector<std::vector<float>> results() {
    std::vector<std::vector<float>> all;
    for (size_t i = 0; i < given_.operands.size(); ++i) {
      if (given_.operands[i].role != Role::Input) all.push_back(download(call.tensors[i]));
    }
    all.insert(all.end(), call.hostResults.begin(), call.hostResults.end());
    return all;
  }

  // Returns when the device has finished everything that was asked of it.
  void wait() {
    char byte = 0;
    backend_.copyToHost(&byte, call.tensors.front().data, 1);
  }

  Call call;

 private:
  void fill() {
    for (size_t i = 0; i < given_.operands.size(); ++i) {
      const Tensor& tensor = call.tensors[i];
      std::vector<float> values = hostValues(given_.operands[i], i);
      std::vector<uint16_t> bits(values.size());
      std::transform(values.begin(), values.end(), bits.begin(), toBFloat16);
      if (given_.operands[i].activation)
        std::transform(bits.begin(), bits.end(), values.begin(), fromBFloat16);
      const void* source =
          tensor.dtype == DType::Float32 ? static_cast<const void*>(values.data()) : bits.data();
      backend_.copyFromHost(tensor.data, source, tensor.bytes());
    }
  }

  std::vector<float> download(const Tensor& tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.count()));
    if (tensor.dtype == DType::Float32) {
      backend_.copyToHost(values.data(), tensor.data, tensor.bytes());
      return values;
    }
    std::vector<uint16_t> bits(values.size());
    backend_.copyToHost(bits.data(), tensor.data, tensor.bytes());
    std::transform(bits.begin(), bits.end(), values.begin(), fromBFloat16);
    return values;
  }

  Backend& backend_;
  const OpCase& given_;
  std::vector<Buffer> buffers_;
};

//found - expected| / |expected|, Euclidean; infinity where a value is not finite on one side only.
double errorOf(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isfinite(expected[i]) != std::isfinite(found[i])) return std::numeric_limits<double>::infinity();
    if (!std::isfinite(expected[i])) continue;
    difference += (double{found[i]} - expected[i]) * (double{found[i]} - expected[i]);
    size += double{expected[i]} * expected[i];
  }
  if (difference == 0) return 0;
  return size == 0 ? std::numeric_limits<double>::infinity() : std::sqrt(difference / size);
}

std::string describe(const CaseShape& shape) {
  return std::to_string(shape.tokens) + " tokens in " + std::to_string(shape.sequences) + ", hidden " +
         std::to_string(shape.hidden) + ", heads " + std::to_string(shape.heads) + "/" +
         std::to_string(shape.kvHeads) + " x " + std::to_string(shape.headDim) + ", vocabulary " +
         std::to_string(shape.vocabSize);
}

// `where` is what a failure names.
void checkCase(const OpCase& given, const std::string& where, Backend& tested, Backend& reference,
               OpResult& result) {
  result.allowed = std::max(result.allowed, given.tolerance);
  Placed here(tested, given), there(reference, given);
  given.run(tested, here.call);
  given.run(reference, there.call);
  const auto found = here.results(), expected = there.results();
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = errorOf(found[i], expected[i]);
    result.error = std::max(result.error, error);
    if (error <= given.tolerance || result.outcome != Outcome::Passed) continue;
    result.outcome = Outcome::Failed;
    result.reason = "result " + std::to_string(i) + " is off by " + std::to_string(error) + " (allowed " +
                    std::to_string(given.tolerance) + ") at " + where;
  }
}

void failWith(OpResult& result, const std::exception& error) {
  const auto* known = dynamic_cast<const Error*>(&error);
  const bool absent = known && known->code() == "ERR_NOT_IMPLEMENTED";
  result.outcome = absent ? Outcome::NotImplemented : Outcome::Failed;
  result.reason = error.what();
}

OpResult checkRules(const char* name, const std::vector<Rule>& rules, Backend& tested) {
  ReferenceBackend formulas;
  OpResult result;
  result.name = name;
  try {
    for (const Rule& rule : rules) {
      checkCase(rule.given, "the rule '" + std::string(rule.name) + "'", tested, formulas, result);
    }
  } catch (const std::exception& error) {
    failWith(result, error);
  }
  return result;
}

// Seconds per call, from the fastest of three series.
double secondsOf(Backend& backend, const OpCase& given) {
  Placed placed(backend, given);
  const auto series = [&](int calls) {
    placed.wait();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) {
      placed.call.hostResults.clear();
      given.run(backend, placed.call);
    }
    placed.wait();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
  };
  const double first = series(1), second = series(1), once = std::min(first, second);
  const int calls =
      static_cast<int>(std::clamp(kTimedSeconds / 3 / std::max(once, 1e-7), 1.0, double{kMostCalls}));
  return std::min({once, series(calls), series(calls), series(calls)});
}

OpCase copyCase(const CaseShape& shape) {
  OpCase given;
  const int64_t rows = shape.tokens, columns = 4 * shape.feedForward;
  const size_t from = given.input({rows, columns}), to = given.output({rows, columns});
  given.run = [=](Backend& backend, Call& call) { backend.convert(call[to], call[from]); };
  given.bytes = given.operandBytes();
  return given;
}

OpCase productCase(const CaseShape& shape, DType dtype) {
  OpCase given;
  const int64_t rows = shape.tokens, inner = shape.feedForward, columns = 4 * shape.hidden;
  const size_t a = given.input({rows, inner}, 1, 0, dtype), b = given.input({columns, inner}, 1, 0, dtype);
  const size_t out = given.output({rows, columns});
  given.run = [=](Backend& backend, Call& call) {
    backend.matmul(call[out], call[a], false, call[b], true, 0);
  };
  given.flops = 2.0 * static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns);
  return given;
}

}  // namespace

OpResult checkOp(const OpRow& row, Backend& tested, Backend& reference) {
  OpResult result;
  result.name = row.name;
  try {
    for (const CaseShape& shape : checkedShapes())
      checkCase(row.make(shape), describe(shape), tested, reference, result);
  } catch (const std::exception& error) {
    failWith(result, error);
  }
  return result;
}

void timeOp(const OpRow& row, const CaseShape& shape, Backend& tested, const Ceilings& ceilings,
            OpResult& result) {
  result.shape = describe(shape);
  try {
    const OpCase given = row.make(shape);
    result.seconds = secondsOf(tested, given);
    result.bytesPerSecond = given.bytes / result.seconds;
    result.flopsPerSecond = given.flops / result.seconds;
    const double productRate =
        given.bfloat16Products ? ceilings.bfloat16FlopsPerSecond : ceilings.float32FlopsPerSecond;
    const double allowed = std::max(given.bytes / ceilings.copyBytesPerSecond, given.flops / productRate);
    result.shareOfCeiling = allowed / result.seconds;
  } catch (const std::exception& error) {
    failWith(result, error);
  }
}

Ceilings measureCeilings(Backend& backend, const CaseShape& shape) {
  Ceilings ceilings;
  const OpCase copy = copyCase(shape);
  const OpCase single = productCase(shape, DType::Float32), brief = productCase(shape, DType::BFloat16);
  ceilings.copyBytesPerSecond = copy.bytes / secondsOf(backend, copy);
  ceilings.float32FlopsPerSecond = single.flops / secondsOf(backend, single);
  ceilings.bfloat16FlopsPerSecond = brief.flops / secondsOf(backend, brief);
  return ceilings;
}

CaseShape timedShape(const Backend& backend) {
  if (std::string(backend.name()) == "cuda") return {16384, 8, 2048, 6144, 16, 8, 128, 32768};
  return {256, 4, 512, 1536, 8, 4, 64, 8192};
}

std::vector<OpResult> checkHdpo(Backend& tested) {
  return {checkRules("groupAdvantages, the rules", advantageRules(), tested),
          checkRules("policyLoss, the rules", policyLossRules(), tested)};
}

Report run(Backend& tested, Backend& reference, bool timed) {
  Report report;
  report.device = tested.name();
  const CaseShape shape = timedShape(tested);
  if (timed) report.ceilings = measureCeilings(tested, shape);
  for (const OpRow& row : opTable(tested)) {
    OpResult result = checkOp(row, tested, reference);
    if (timed && result.outcome == Outcome::Passed) timeOp(row, shape, tested, report.ceilings, result);
    report.ops.push_back(std::move(result));
  }
  for (OpResult& result : checkHdpo(tested)) report.ops.push_back(std::move(result));
  return report;
}

}  // namespace hdpo::self_test
