#include "training/training_batch.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace hdpo {

namespace {

void checkLength(const char* name, size_t given, size_t needed) {
  require(
      given == needed, "ERR_BATCH",
      std::string(name) + " has " + std::to_string(given) + " values, but needs " + std::to_string(needed));
}

// Both channels' losses are proportional to their advantage, clips included.
void applyImportanceWeights(const TrainingBatch& batch, std::vector<TokenTerms>& terms) {
  if (batch.importanceWeights.empty()) return;
  checkLength("importanceWeights", batch.importanceWeights.size(), terms.size());
  for (size_t t = 0; t < terms.size(); ++t) {
    const float weight = batch.importanceWeights[t];
    if (!batch.mask[t]) continue;
    require(std::isfinite(weight) && weight >= 0, "ERR_BATCH",
            "importanceWeights must be finite and at least 0, but importanceWeights[" + std::to_string(t) +
                "] is " + std::to_string(weight));
    terms[t].accuracyAdvantage *= weight;
    terms[t].efficiencyAdvantage *= weight;
  }
}

// NaN counts as a gradient, because the step must see it.
bool hasGradient(const TokenTerms& terms, const PolicyLossOptions& loss) {
  const bool accuracy = loss.accuracyWeight != 0 && terms.accuracyAdvantage != 0;
  const bool efficiency = loss.efficiencyWeight != 0 && terms.efficiencyAdvantage != 0;
  return terms.supervisedScale != 0 || loss.klCoefficient != 0 || loss.entropyCoefficient != 0 || accuracy ||
         efficiency;
}

}  // namespace

void checkOffsets(const std::vector<int32_t>& offsets, size_t tokenCount) {
  require(offsets.size() >= 2 && offsets.front() == 0 && static_cast<size_t>(offsets.back()) == tokenCount,
          "ERR_BATCH",
          "offsets must begin at 0 and end at the number of tokens, " + std::to_string(tokenCount));
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    require(offsets[s] < offsets[s + 1], "ERR_BATCH",
            "sequence " + std::to_string(s) + " is empty or its offsets run backwards");
  }
}

int64_t checkMask(const TrainingBatch& batch) {
  checkLength("mask", batch.mask.size(), batch.tokens.size());
  int64_t trained = 0;
  for (size_t i = 0; i < batch.mask.size(); ++i) {
    require(batch.mask[i] <= (batch.excludedToken >= 0 ? 2 : 1), "ERR_BATCH",
            "mask must hold 0 or 1, and 2 only with an excludedToken, but mask[" + std::to_string(i) +
                "] is " + std::to_string(batch.mask[i]));
    require(batch.mask[i] != 2 || batch.tokens[i] != batch.excludedToken, "ERR_BATCH",
            "token " + std::to_string(i) + " is the excludedToken and cannot be trained without it");
    trained += batch.mask[i] != 0;
  }
  require(trained > 0, "ERR_BATCH", "no token of the batch is trained: its mask is all 0");
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    require(batch.mask[batch.offsets[s]] == 0, "ERR_BATCH",
            "the first token of sequence " + std::to_string(s) +
                " has no token to be predicted from; its mask must be 0");
  }
  return trained;
}

std::vector<TokenTerms> supervisedTerms(const TrainingBatch& batch, int64_t trained) {
  TokenTerms terms;
  terms.supervisedScale = static_cast<float>(1.0 / static_cast<double>(trained));
  std::vector<TokenTerms> all(batch.tokens.size(), terms);
  for (size_t i = 0; i < all.size(); ++i) {
    if (batch.mask[i] == 2) all[i].excludedToken = batch.excludedToken;
  }
  return all;
}

std::vector<TokenTerms> policyTermsOf(const TrainingBatch& batch, Aggregation aggregation,
                                      const PolicyLossOptions& loss) {
  const size_t tokens = batch.tokens.size(), sequences = batch.offsets.size() - 1;
  checkLength("oldLogprobs", batch.oldLogprobs.size(), tokens);
  checkLength("accuracyAdvantages", batch.accuracyAdvantages.size(), sequences);
  checkLength("efficiencyAdvantages", batch.efficiencyAdvantages.size(), sequences);
  const bool reference = !batch.referenceLogprobs.empty();
  if (reference) checkLength("referenceLogprobs", batch.referenceLogprobs.size(), tokens);
  require(reference || loss.klCoefficient == 0, "ERR_BATCH",
          "a klCoefficient other than 0 needs referenceLogprobs");

  std::vector<TokenTerms> terms = policyTerms(
      aggregation, {static_cast<int64_t>(sequences), batch.offsets.data(), batch.mask.data(),
                    batch.oldLogprobs.data(), reference ? batch.referenceLogprobs.data() : nullptr,
                    batch.accuracyAdvantages.data(), batch.efficiencyAdvantages.data()});
  applyImportanceWeights(batch, terms);
  return terms;
}

LossSequences sequencesWithGradient(const TrainingBatch& batch, const std::vector<TokenTerms>& terms,
                                    const PolicyLossOptions& loss) {
  LossSequences kept;
  kept.offsets.push_back(0);
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    const int32_t begin = batch.offsets[s], end = batch.offsets[s + 1];
    bool counts = false;
    for (int32_t t = begin; t < end; ++t) counts |= batch.mask[t] && hasGradient(terms[t], loss);
    if (!counts) continue;
    kept.tokens.insert(kept.tokens.end(), batch.tokens.begin() + begin, batch.tokens.begin() + end);
    kept.mask.insert(kept.mask.end(), batch.mask.begin() + begin, batch.mask.begin() + end);
    kept.terms.insert(kept.terms.end(), terms.begin() + begin, terms.begin() + end);
    kept.offsets.push_back(static_cast<int32_t>(kept.tokens.size()));
  }
  return kept;
}

}  // namespace hdpo
