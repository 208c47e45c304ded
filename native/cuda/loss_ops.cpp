// Losses, advantages and the optimiser: arrays of the host go to the device and results come back.
#include <vector>

#include "cuda/advantages.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/linear_loss.h"
#include "cuda/optimizer.h"
#include "cuda/policy_loss.h"

namespace hdpo::cuda {

namespace {

// A GPU needs more rows at a time to be busy than a CPU's caches hold.
constexpr size_t kLinearLossWorkspaceBytes = size_t{768} << 20;

// Arrays of one call in device memory.
class DeviceArrays {
 public:
  explicit DeviceArrays(Backend& backend) : backend_(backend) {}

  template <class Element>
  Element* make(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(Element);
    memory_.emplace_back(backend_, bytes > 0 ? bytes : 1);
    return static_cast<Element*>(memory_.back().data());
  }
  // null stays null.
  template <class Element>
  const Element* copyOf(const Element* host, int64_t count) {
    if (!host) return nullptr;
    Element* device = make<Element>(count);
    backend_.copyFromHost(device, host, static_cast<size_t>(count) * sizeof(Element));
    return device;
  }
  template <class Element>
  void download(Element* host, const Element* device, int64_t count) {
    if (host) backend_.copyToHost(host, device, static_cast<size_t>(count) * sizeof(Element));
  }

 private:
  Backend& backend_;
  std::vector<Buffer> memory_;
};

}  // namespace

double CudaBackend::sumOfSquares(const Tensor& values) {
  const Scope scope(*this, "sumOfSquares", 2.0 * static_cast<double>(values.count()));
  requireFloat32("sumOfSquares", {values});
  const size_t resultBytes = 16;
  auto* memory = static_cast<char*>(workspace(resultBytes + sumOfSquaresWorkspaceBytes(values.count())));
  auto* device = reinterpret_cast<double*>(memory);
  cuda::sumOfSquares(stream_, device, floats(values), values.count(), memory + resultBytes);
  double result = 0;
  copyToHost(&result, device, sizeof result);
  return result;
}

void CudaBackend::adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum,
                        const Tensor& variance, const AdamWOptions& options) {
  const Scope scope(*this, "adamW", 15.0 * static_cast<double>(weight.count()));
  requireFloat32("adamW", {weight, gradient, momentum, variance});
  cuda::adamW(stream_, floats(weight), nullptr, floats(gradient), floats(momentum), floats(variance),
              weight.count(), options);
}

void CudaBackend::groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) {
  const Scope scope(*this, "groupAdvantages");
  const int64_t count = input.rollouts;
  if (count == 0) return;
  DeviceArrays arrays(*this);
  GroupAdvantagesInput given = input;
  given.groupIds = arrays.copyOf(input.groupIds, count);
  given.accuracyRewards = arrays.copyOf(input.accuracyRewards, count);
  given.correct = arrays.copyOf(input.correct, count);
  given.toolCalls = arrays.copyOf(input.toolCalls, count);
  given.toolCosts = arrays.copyOf(input.toolCosts, count);
  const GroupAdvantagesOutput found{arrays.make<float>(count), arrays.make<float>(count),
                                    arrays.make<float>(count)};
  cuda::groupAdvantages(stream_, given, found, workspace(groupAdvantagesWorkspaceBytes(count)));
  arrays.download(output.efficiencyRewards, found.efficiencyRewards, count);
  arrays.download(output.accuracyAdvantages, found.accuracyAdvantages, count);
  arrays.download(output.efficiencyAdvantages, found.efficiencyAdvantages, count);
}

PolicyLossSums CudaBackend::policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) {
  const Scope scope(*this, "policyLoss");
  PolicyLossSums sums;
  const int64_t tokens = input.tokens, logits = tokens * input.vocabSize;
  if (tokens == 0) return sums;
  DeviceArrays arrays(*this);
  PolicyLossInput given = input;
  given.logits = arrays.copyOf(input.logits, logits);
  given.targets = arrays.copyOf(input.targets, tokens);
  given.mask = arrays.copyOf(input.mask, tokens);
  given.terms = arrays.copyOf(input.terms, tokens);
  const PolicyLossOutput found{arrays.make<float>(tokens), arrays.make<float>(tokens),
                               arrays.make<float>(tokens),
                               output.gradLogits ? arrays.make<float>(logits) : nullptr};
  auto* deviceSums = arrays.make<PolicyLossSums>(1);
  const size_t bytes = policyLossWorkspaceBytes(tokens, input.vocabSize);
  cuda::policyLoss(stream_, deviceSums, given, found, workspace(bytes));
  arrays.download(output.logprobs, found.logprobs, tokens);
  arrays.download(output.entropy, found.entropy, tokens);
  arrays.download(output.gradLogprobs, found.gradLogprobs, tokens);
  arrays.download(output.gradLogits, found.gradLogits, logits);
  arrays.download(&sums, deviceSums, 1);
  sums.workspaceBytes = bytes;
  return sums;
}

size_t CudaBackend::linearLossWorkspace() const { return kLinearLossWorkspaceBytes; }

PolicyLossSums CudaBackend::linearLoss(const LinearLossInput& input, const LinearLossOutput& output) {
  const int64_t rows = input.hidden.shape[0];
  PolicyLossSums sums;
  if (rows == 0) return sums;
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(input.weight.count());
  const int products = 1 + (output.gradHidden ? 1 : 0) + (output.gradWeight ? 1 : 0);
  const Scope scope(*this, "linearLoss", products * flops);

  LinearLossInput given = input;
  const size_t count = static_cast<size_t>(rows);
  const auto uploaded =
      upload({{input.targets, count * sizeof(int32_t)}, {input.terms, count * sizeof(TokenTerms)}});
  given.targets = static_cast<const int32_t*>(uploaded[0]);
  given.terms = static_cast<const TokenTerms*>(uploaded[1]);
  DeviceArrays arrays(*this);
  LinearLossOutput found = output;
  found.logprobs = arrays.make<float>(rows);
  found.entropy = output.entropy ? arrays.make<float>(rows) : nullptr;
  auto* deviceSums = arrays.make<PolicyLossSums>(1);
  const LinearLossPlan plan = linearLossPlan(given, found);
  cuda::linearLoss(stream_, deviceSums, given, found, plan, workspace(plan.workspaceBytes),
                   [this](const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                          bool transposeB, float beta) { product(out, a, transposeA, b, transposeB, beta); });
  arrays.download(output.logprobs, found.logprobs, rows);
  arrays.download(output.entropy, found.entropy, rows);
  arrays.download(&sums, deviceSums, 1);
  sums.workspaceBytes = plan.workspaceBytes;
  return sums;
}

}  // namespace hdpo::cuda
