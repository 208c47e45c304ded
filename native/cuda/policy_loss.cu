// The policy loss from logits [N, V]: softmax_loss.h over all rows at once.
#include "cuda/policy_loss.h"
#include "cuda/softmax_loss.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

LossRows rowsIn(Workspace& workspace, int64_t tokens, int64_t vocabSize) {
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

size_t policyLossWorkspaceBytes(int64_t tokens, int64_t vocabSize) {
  Workspace workspace;
  rowsIn(workspace, tokens, vocabSize);
  return workspace.bytes();
}

void policyLoss(Stream stream, PolicyLossSums* sums, const PolicyLossInput& input,
                const PolicyLossOutput& output, void* workspace) {
  Workspace memory(workspace);
  LossRows rows = rowsIn(memory, input.tokens, input.vocabSize);
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

}  // namespace hdpo::cuda
