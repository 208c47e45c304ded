#include "ops/policy_loss.h"

#include <cassert>
#include <vector>

namespace hdpo {

namespace {

// Sequences without a token of the channel take no part in it, nor in its mean over sequences.
void scalesOfChannel(Aggregation aggregation, const std::vector<int64_t>& tokens, float* scales) {
  int64_t allTokens = 0, allSequences = 0;
  for (const int64_t count : tokens) {
    allTokens += count;
    allSequences += count > 0;
  }
  for (size_t s = 0; s < tokens.size(); ++s) {
    double denominator = 1;
    switch (aggregation) {
      case Aggregation::TokenMean:
        denominator = static_cast<double>(allTokens);
        break;
      case Aggregation::SequenceMeanTokenMean:
        denominator = static_cast<double>(allSequences) * static_cast<double>(tokens[s]);
        break;
      case Aggregation::SequenceMeanTokenSum:
        denominator = static_cast<double>(allSequences);
        break;
    }
    scales[s] = tokens[s] == 0 ? 0.0f : static_cast<float>(1 / denominator);
  }
}

}  // namespace

void channelScales(Aggregation aggregation, int64_t sequences, const int32_t* offsets, const uint8_t* mask,
                   const float* efficiencyAdvantages, float* accuracyScales, float* efficiencyScales) {
  assert(sequences >= 0);
  std::vector<int64_t> accuracyTokens(static_cast<size_t>(sequences)),
      efficiencyTokens(accuracyTokens.size());
  for (size_t s = 0; s < accuracyTokens.size(); ++s) {
    for (int32_t token = offsets[s]; token < offsets[s + 1]; ++token) accuracyTokens[s] += mask[token] != 0;
    // A NaN counts: it has to reach the loss.
    efficiencyTokens[s] = efficiencyAdvantages[s] != 0 ? accuracyTokens[s] : 0;
  }
  scalesOfChannel(aggregation, accuracyTokens, accuracyScales);
  scalesOfChannel(aggregation, efficiencyTokens, efficiencyScales);
}

std::vector<TokenTerms> policyTerms(Aggregation aggregation, const PolicySequences& given) {
  const size_t sequences = static_cast<size_t>(given.sequences);
  std::vector<float> accuracyScales(sequences), efficiencyScales(sequences);
  channelScales(aggregation, given.sequences, given.offsets, given.mask, given.efficiencyAdvantages,
                accuracyScales.data(), efficiencyScales.data());
  std::vector<TokenTerms> terms(static_cast<size_t>(given.offsets[sequences]));
  for (size_t s = 0; s < sequences; ++s) {
    for (int32_t t = given.offsets[s]; t < given.offsets[s + 1]; ++t) {
      TokenTerms& token = terms[static_cast<size_t>(t)];
      token.oldLogprob = given.oldLogprobs[t];
      token.referenceLogprob = given.referenceLogprobs ? given.referenceLogprobs[t] : 0;
      token.accuracyAdvantage = given.accuracyAdvantages[s];
      token.efficiencyAdvantage = given.efficiencyAdvantages[s];
      token.accuracyScale = accuracyScales[s];
      token.efficiencyScale = efficiencyScales[s];
    }
  }
  return terms;
}

}  // namespace hdpo
