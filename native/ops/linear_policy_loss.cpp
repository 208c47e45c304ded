#include "ops/linear_policy_loss.h"

#include <algorithm>
#include <vector>

#include "ops/buffer.h"

namespace hdpo {

namespace {

// A matrix of the host in the backend's memory: the matrix itself where that is host memory, otherwise a
// copy.
class Placed {
 public:
  enum class Copy : uint8_t { In, Zeros };

  Placed(Backend& backend, float* host, int64_t rows, int64_t columns, Copy copy) : backend_(backend) {
    tensor_ = Tensor(host, {rows, columns});
    if (backend.hostMemory()) return;
    host_ = host;
    memory_ = Buffer(backend, std::max<size_t>(tensor_.bytes(), 1));
    tensor_.data = memory_.data();
    if (copy == Copy::Zeros) {
      backend.zero(tensor_.data, tensor_.bytes());
    } else {
      backend.copyFromHost(tensor_.data, host, tensor_.bytes());
    }
  }
  const Tensor& tensor() const { return tensor_; }
  void download() const {
    if (host_) backend_.copyToHost(host_, tensor_.data, tensor_.bytes());
  }

 private:
  Backend& backend_;
  float* host_ = nullptr;  // where `tensor_` is a copy
  Buffer memory_;
  Tensor tensor_;
};

struct Matrices {
  Placed hidden, weight, gradHidden, gradWeight;
};

struct Rows {
  std::vector<int32_t> index, targets;
  std::vector<TokenTerms> terms;

  Rows(const LinearPolicyLossInput& input, bool trained) {
    for (int64_t t = 0; t < input.tokens; ++t) {
      if ((input.mask[t] != 0) != trained) continue;
      index.push_back(static_cast<int32_t>(t));
      targets.push_back(input.targets[t]);
      terms.push_back(trained ? input.terms[t] : TokenTerms());
    }
  }
  int64_t count() const { return static_cast<int64_t>(index.size()); }
};

// The loss of the rows whose mask says `trained`, gathered: rows of the two kinds may not be in one call, for
// those that are not trained must have no share in the gradients.
void lossOfRows(Backend& backend, const LinearPolicyLossInput& given, const LinearPolicyLossOutput& results,
                const Matrices& matrices, bool trained, PolicyLossSums& total) {
  const Rows rows(given, trained);
  if (rows.count() == 0) return;
  const size_t bytes = static_cast<size_t>(rows.count() * given.hiddenSize) * sizeof(float);
  const Buffer hidden(backend, bytes), gradHidden(backend, trained ? bytes : 0);
  std::vector<float> logprobs(rows.index.size()), entropy(rows.index.size());
  LinearLossInput input;
  input.hidden = Tensor(hidden.f32(), {rows.count(), given.hiddenSize});
  input.weight = matrices.weight.tensor();
  input.targets = rows.targets.data();
  input.terms = rows.terms.data();
  input.options = given.options;
  input.workspaceLimit = backend.linearLossWorkspace();
  LinearLossOutput output{logprobs.data(), entropy.data(), Tensor(), Tensor()};
  if (trained) {
    output.gradHidden = Tensor(gradHidden.f32(), {rows.count(), given.hiddenSize});
    output.gradWeight = matrices.gradWeight.tensor();
  }
  backend.gatherRows(input.hidden, matrices.hidden.tensor(), rows.index.data());
  const PolicyLossSums sums = backend.linearLoss(input, output);
  for (size_t i = 0; i < rows.index.size(); ++i) {
    results.logprobs[rows.index[i]] = logprobs[i];
    results.entropy[rows.index[i]] = entropy[i];
  }
  const size_t workspace =
      std::max(total.workspaceBytes, sums.workspaceBytes + hidden.bytes() + gradHidden.bytes());
  if (trained) {
    backend.scatterRows(matrices.gradHidden.tensor(), output.gradHidden, rows.index.data());
    matrices.gradHidden.download();
    matrices.gradWeight.download();
    total = sums;
  }
  total.workspaceBytes = workspace;
}

}  // namespace

PolicyLossSums linearPolicyLoss(Backend& backend, const LinearPolicyLossInput& input,
                                const LinearPolicyLossOutput& output) {
  const int64_t tokens = input.tokens, width = input.hiddenSize, vocabSize = input.vocabSize;
  // Tensors have no constant views; neither input is written.
  const Matrices matrices{
      Placed(backend, const_cast<float*>(input.hidden), tokens, width, Placed::Copy::In),
      Placed(backend, const_cast<float*>(input.weight), vocabSize, width, Placed::Copy::In),
      Placed(backend, output.gradHidden, tokens, width, Placed::Copy::Zeros),
      Placed(backend, output.gradWeight, vocabSize, width, Placed::Copy::Zeros)};
  PolicyLossSums total;
  lossOfRows(backend, input, output, matrices, true, total);
  lossOfRows(backend, input, output, matrices, false, total);
  return total;
}

}  // namespace hdpo
