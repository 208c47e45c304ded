// Reads the reference values of test/golden into the self-test's cases.
#pragma once

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "self_test/rules.h"

namespace hdpo {

// As much of JSON as those files use: objects, arrays of numbers or of objects, strings without escapes,
// numbers, booleans.
struct Json {
  std::map<std::string, Json> members;
  std::vector<Json> elements;
  std::vector<double> numbers;  // where this is an array of numbers
  std::string text;
  double number = 0;  // 0 or 1 where this is a boolean

  const Json& operator[](const std::string& name) const {
    const auto found = members.find(name);
    require(found != members.end(), "ERR_TEST", "the golden file has no " + name);
    return found->second;
  }
  template <class Element>
  std::vector<Element> as() const {
    std::vector<Element> values;
    for (const double value : numbers) values.push_back(static_cast<Element>(value));
    return values;
  }
};

class JsonReader {
 public:
  explicit JsonReader(std::string text) : text_(std::move(text)) {}

  Json read() {
    Json value;
    const char next = peek();
    if (next == '{') {
      readList('{', '}', [&] {
        const std::string name = readString();
        expect(':');
        value.members[name] = read();
      });
    } else if (next == '[') {
      readList('[', ']', [&] {
        Json element = read();
        if (element.members.empty()) {
          value.numbers.push_back(element.number);
        } else {
          value.elements.push_back(std::move(element));
        }
      });
    } else if (next == '"') {
      value.text = readString();
    } else if (next == 't' || next == 'f') {
      value.number = next == 't';
      at_ += next == 't' ? 4 : 5;
    } else {
      char* end = nullptr;
      value.number = std::strtod(text_.c_str() + at_, &end);
      require(end != text_.c_str() + at_, "ERR_TEST", "no JSON at " + std::to_string(at_));
      at_ = static_cast<size_t>(end - text_.c_str());
    }
    return value;
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void expect(char wanted) {
    require(peek() == wanted, "ERR_TEST",
            std::string("expected ") + wanted + " at " + std::to_string(at_) + " of the golden file");
    ++at_;
  }
  template <class ReadOne>
  void readList(char open, char close, const ReadOne& readOne) {
    expect(open);
    while (peek() != close) {
      readOne();
      if (peek() == ',') ++at_;
    }
    expect(close);
  }
  std::string readString() {
    expect('"');
    const size_t end = text_.find('"', at_);
    require(end != std::string::npos, "ERR_TEST", "a string of the golden file does not end");
    const std::string value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }

  std::string text_;
  size_t at_ = 0;
};

// CMakeLists.txt defines HDPO_GOLDEN_FOLDER.
inline std::vector<Json> goldenCases(const std::string& file) {
  std::ifstream stream(std::string(HDPO_GOLDEN_FOLDER) + "/" + file);
  require(stream.good(), "ERR_TEST", "cannot read " + file);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  return JsonReader(text).read()["cases"].elements;
}

inline self_test::RolloutGroups rolloutsOf(const Json& golden) {
  return {golden["groupIds"].as<int32_t>(),
          golden["accuracyRewards"].as<float>(),
          golden["correct"].as<uint8_t>(),
          golden["toolCalls"].as<int32_t>(),
          static_cast<float>(golden["epsilon"].number),
          golden["scaleByStd"].number == 1};
}

inline self_test::LossBatch lossBatchOf(const Json& golden) {
  const auto option = [&](const char* name) { return static_cast<float>(golden[name].number); };
  const std::map<std::string, Aggregation> aggregations = {
      {"token-mean", Aggregation::TokenMean},
      {"seq-mean-token-mean", Aggregation::SequenceMeanTokenMean},
      {"seq-mean-token-sum", Aggregation::SequenceMeanTokenSum}};
  self_test::LossBatch batch;
  batch.vocabSize = static_cast<int64_t>(golden["vocabSize"].number);
  batch.logits = golden["logits"].as<float>();
  batch.targets = golden["targets"].as<int32_t>();
  batch.mask = golden["lossMask"].as<uint8_t>();
  batch.offsets = {0};
  for (const auto length : golden["sequenceLengths"].as<int32_t>())
    batch.offsets.push_back(batch.offsets.back() + length);
  batch.oldLogprobs = golden["oldLogprobs"].as<float>();
  batch.referenceLogprobs = golden["referenceLogprobs"].as<float>();
  batch.accuracyAdvantages = golden["accuracyAdvantages"].as<float>();
  batch.efficiencyAdvantages = golden["efficiencyAdvantages"].as<float>();
  batch.aggregation = aggregations.at(golden["aggregation"].text);
  batch.options.temperature = option("temperature");
  batch.options.clipLow = option("clipLow");
  batch.options.clipHigh = option("clipHigh");
  batch.options.dualClip = option("dualClip");
  batch.options.accuracyWeight = option("accuracyWeight");
  batch.options.efficiencyWeight = option("efficiencyWeight");
  batch.options.klCoefficient = option("klCoefficient");
  return batch;
}

}  // namespace hdpo
