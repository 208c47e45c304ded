#include "io/safetensors_header.h"

#include <cstdio>
#include <limits>
#include <set>
#include <utility>

namespace hdpo {

namespace {

// Reads the header's JSON from left to right. Every method leaves the position behind what it has read.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  SafetensorsHeader header() {
    SafetensorsHeader header;
    std::set<std::string> names;
    object([&](const std::string& name) {
      if (!names.insert(name).second) fail("the name '" + name + "' appears twice");
      if (name == "__metadata__") {
        header.metadata = metadata();
      } else {
        header.tensors.push_back(tensor(name));
      }
    });
    skipSpace();
    if (position_ != text_.size()) fail("text after the header's closing brace");
    return header;
  }

 private:
  // Calls member(key) with the position at each member's value. The callback must read that value.
  template <typename Member>
  void object(Member member) {
    expect('{');
    if (accept('}')) return;
    do {
      const std::string key = string();
      expect(':');
      member(key);
    } while (accept(','));
    expect('}');
  }

  template <typename Element>
  void array(Element element) {
    expect('[');
    if (accept(']')) return;
    do element();
    while (accept(','));
    expect(']');
  }

  std::map<std::string, std::string> metadata() {
    std::map<std::string, std::string> result;
    object([&](const std::string& key) {
      if (!result.emplace(key, string()).second) fail("the metadata key '" + key + "' appears twice");
    });
    return result;
  }

  SafetensorsHeader::Tensor tensor(const std::string& name) {
    SafetensorsHeader::Tensor tensor;
    tensor.name = name;
    std::set<std::string> seen;
    object([&](const std::string& key) {
      if (!seen.insert(key).second) fail("tensor '" + name + "' has two members '" + key + "'");
      if (key == "dtype") {
        tensor.dtype = string();
      } else if (key == "shape") {
        array([&] { tensor.shape.push_back(integer()); });
      } else if (key == "data_offsets") {
        std::vector<int64_t> offsets;
        array([&] { offsets.push_back(integer()); });
        if (offsets.size() != 2) fail("tensor '" + name + "': data_offsets must be [begin, end]");
        tensor.begin = static_cast<uint64_t>(offsets[0]);
        tensor.end = static_cast<uint64_t>(offsets[1]);
      } else {
        fail("tensor '" + name + "' has an unknown member '" + key + "'");
      }
    });
    if (seen.size() != 3) fail("tensor '" + name + "' needs dtype, shape and data_offsets");
    checkTensor(tensor);
    return tensor;
  }

  void checkTensor(const SafetensorsHeader::Tensor& tensor) {
    if (tensor.end < tensor.begin) fail("tensor '" + tensor.name + "': data_offsets run backwards");
    uint64_t bytes = 0;
    try {
      bytes = safetensorsBytes(tensor.dtype, tensor.shape);
    } catch (const SafetensorsHeaderError& error) {
      fail("tensor '" + tensor.name + "': " + error.what());
    }
    if (bytes != tensor.end - tensor.begin) {
      fail("tensor '" + tensor.name + "': its shape and dtype take " + std::to_string(bytes) +
           " bytes, but its data_offsets span " + std::to_string(tensor.end - tensor.begin));
    }
  }

  // Reads a non-negative JSON integer that fits int64.
  int64_t integer() {
    skipSpace();
    const size_t start = position_;
    int64_t value = 0;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
          __builtin_add_overflow(value, int64_t{text_[position_] - '0'}, &value)) {
        fail("an integer is too large");
      }
      ++position_;
    }
    if (position_ == start) fail("expected a non-negative integer");
    if (text_[start] == '0' && position_ - start > 1) fail("an integer must not begin with 0");
    return value;
  }

  std::string string() {
    expect('"');
    std::string result;
    for (;;) {
      const char c = next("a string does not end");
      if (c == '"') return result;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c == '\\') {
        escape(result);
      } else {
        result += c;
      }
    }
  }

  void escape(std::string& result) {
    static constexpr std::pair<char, char> kSimple[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                                        {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
    const char c = next("a string does not end");
    for (const auto& [name, value] : kSimple) {
      if (c == name) {
        result += value;
        return;
      }
    }
    if (c != 'u') fail("an unknown escape in a string");
    uint32_t code = hex4();
    if (code >= 0xDC00 && code < 0xE000) fail("a lone low surrogate in a string");
    if (code >= 0xD800 && code < 0xDC00) {
      if (next("a string does not end") != '\\' || next("a string does not end") != 'u')
        fail("a lone high surrogate");
      const uint32_t low = hex4();
      if (low < 0xDC00 || low >= 0xE000) fail("a lone high surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    appendUtf8(result, code);
  }

  uint32_t hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = next("a string does not end");
      uint32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A' + 10);
      } else {
        fail("a \\u escape needs four hexadecimal digits");
      }
      value = value * 16 + digit;
    }
    return value;
  }

  static void appendUtf8(std::string& result, uint32_t code) {
    if (code < 0x80) {
      result += static_cast<char>(code);
      return;
    }
    const int continuation = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const uint32_t lead = continuation == 1 ? 0xC0 : continuation == 2 ? 0xE0 : 0xF0;
    result += static_cast<char>(lead | (code >> (6 * continuation)));
    for (int i = continuation - 1; i >= 0; --i)
      result += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
  }

  void skipSpace() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t' ||
                                        text_[position_] == '\n' || text_[position_] == '\r')) {
      ++position_;
    }
  }
  char next(const char* atEnd) {
    if (position_ >= text_.size()) fail(atEnd);
    return text_[position_++];
  }
  bool accept(char wanted) {
    skipSpace();
    if (position_ >= text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail(std::string("expected '") + wanted + "'");
  }
  [[noreturn]] void fail(const std::string& message) const {
    throw SafetensorsHeaderError(message + " (header byte " + std::to_string(position_) + ")");
  }

  std::string_view text_;
  size_t position_ = 0;
};

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      result += code;
    } else {
      result += c;
    }
  }
  return result + "\"";
}

uint64_t dtypeBytes(const std::string& dtype) {
  static const std::map<std::string, uint64_t> kBytes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};
  const auto found = kBytes.find(dtype);
  if (found == kBytes.end()) throw SafetensorsHeaderError("unknown dtype '" + dtype + "'");
  return found->second;
}

}  // namespace

SafetensorsHeader parseSafetensorsHeader(std::string_view text) { return Parser(text).header(); }

uint64_t safetensorsBytes(const std::string& dtype, const std::vector<int64_t>& shape) {
  uint64_t bytes = dtypeBytes(dtype);
  for (const int64_t dimension : shape) {
    if (dimension < 0) throw SafetensorsHeaderError("a dimension is negative");
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes) ||
        bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      throw SafetensorsHeaderError("its shape is too large");
    }
  }
  return bytes;
}

std::string writeSafetensorsHeader(const SafetensorsHeader& header) {
  std::string text = "{";
  const auto separate = [&text] {
    if (text.back() != '{') text += ',';
  };
  if (!header.metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : header.metadata) {
      separate();
      text += quoted(key) + ":" + quoted(value);
    }
    text += "}";
  }
  for (const SafetensorsHeader::Tensor& tensor : header.tensors) {
    separate();
    text += quoted(tensor.name) + ":{\"dtype\":" + quoted(tensor.dtype) + ",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      if (i > 0) text += ",";
      text += std::to_string(tensor.shape[i]);
    }
    text += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," + std::to_string(tensor.end) + "]}";
  }
  return text + "}";
}

}  // namespace hdpo
