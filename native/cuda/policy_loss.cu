// The policy loss from logits [N, V]: softmax_loss.h over all rows at once.
#include "cuda/cuda_backend.h"
#include "cuda/device_arrays.h"
#include "cuda/dispatch.h"
#include "cuda/policy_loss.h"
#include "cuda/softmax_loss.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

LossRows rowsIn(Workspace& workspace, const MatrixShape& logits) {
  const auto [tokens, vocabSize] = logits;
  LossRows rows{};
  rows.rows = tokens;
  rows.vocabSize = vocabSize;
  rows.plain = true;
  rows.spans = workspace.take<SoftmaxSpan>(tokens * spansOf(vocabSize));
  rows.gradients = workspace.take<RowGradient>(tokens);
  rows.losses = workspace.take<TokenLoss>(tokens);
  return rows;
}

}  // namespace

size_t policyLossWorkspaceBytes(const MatrixShape& logits) {
  Workspace workspace;
  rowsIn(workspace, logits);
  return workspace.bytes();
}

void policyLoss(Stream stream, PolicyLossSums* sums, const PolicyLossInput& input,
                const PolicyLossOutput& output, void* workspace) {
  Workspace memory(workspace);
  LossRows rows = rowsIn(memory, {input.tokens, input.vocabSize});
  rows.logits = input.logits;
  rows.targets = input.targets;
  rows.mask = input.mask;
  rows.terms = input.terms;
  rows.options = input.options;
  rows.logprobs = output.logprobs;
  rows.entropy = output.entropy;
  rows.gradLogprobs = output.gradLogprobs;
  if (input.tokens > 0) {
    forwardLoss(stream, rows);
    if (output.gradLogits) backwardLoss(stream, output.gradLogits, rows);
  }
  sumLosses(stream, sums, rows.losses, input.mask, input.tokens);
}

// --- The backend ---

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
  const size_t bytes = policyLossWorkspaceBytes({tokens, input.vocabSize});
  cuda::policyLoss(stream_, deviceSums, given, found, workspace(bytes));
  arrays.download(output.logprobs, found.logprobs, tokens);
  arrays.download(output.entropy, found.entropy, tokens);
  arrays.download(output.gradLogprobs, found.gradLogprobs, tokens);
  arrays.download(output.gradLogits, found.gradLogits, logits);
  arrays.download(&sums, deviceSums, 1);
  sums.workspaceBytes = bytes;
  return sums;
}

}  // namespace hdpo::cuda
