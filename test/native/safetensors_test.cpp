#include "io/safetensors.h"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/random.h"
#include "io/safetensors_header.h"
#include "temporary_folder.h"

using namespace hdpo;

namespace {

// A file with the given header text and data, whatever they are.
std::string assemble(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), 8);
  return file + header + data;
}

// "CODE message" of the error that the reader throws; empty when it accepts.
std::string refusal(const TemporaryFolder& folder, const std::string& content) {
  writeFile(folder.file("case.safetensors"), content);
  try {
    const SafetensorsFile file(folder.file("case.safetensors"));
  } catch (const Error& error) {
    return error.code() + " " + error.what();
  }
  return "";
}

std::string dataOf(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry& entry = file.entries().at(name);
  std::string data(entry.bytes, '\0');
  file.read(entry, 0, entry.bytes, data.data());
  return data;
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, aligned") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::vector<float> first = {1.5f, -2, 3, 4, 5, 6};
  const std::vector<uint8_t> second = {7, 8, 9};
  const std::string odd = "na\"me\\ \x01 \xc3\xa9";
  writeSafetensors(path,
                   {{"z", "F32", {2, 3}, first.data(), 24},
                    {odd, "U8", {3}, second.data(), 3},
                    {"none", "F32", {0, 4}, nullptr, 0}},
                   {{"format", "pt"}, {odd, odd}});
  const SafetensorsFile file(path);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {odd, odd}});
  REQUIRE(file.entries().size() == 3);
  const SafetensorsEntry& z = file.entries().at("z");
  CHECK(z.dtype == "F32");
  CHECK(z.shape == std::vector<int64_t>{2, 3});
  CHECK(z.bytes == 24);
  CHECK(dataOf(file, "z") == std::string(reinterpret_cast<const char*>(first.data()), 24));
  CHECK(z.offset % 8 == 0);
  CHECK(dataOf(file, odd) == std::string(second.begin(), second.end()));
  CHECK(file.entries().at("none").bytes == 0);
}

TEST_CASE("safetensors: a header as other writers make it is read") {
  const TemporaryFolder folder;
  const std::string header =
      "{ \"\\u0061\\ud83d\\ude00\\n\" : {\"shape\":[ 2 ],\n\"data_offsets\":[0, 4], \"dtype\":\"BF16\"} } "
      "\t ";
  writeFile(folder.file("case.safetensors"), assemble(header, "abcd"));
  const SafetensorsFile file(folder.file("case.safetensors"));
  CHECK(file.entries().at("a\xf0\x9f\x98\x80\n").bytes == 4);
  CHECK(refusal(folder, assemble("{}", "")).empty());
}

TEST_CASE("safetensors: damaged files are refused, naming path, reason and tensor") {
  const TemporaryFolder folder;
  const std::string good = tensor("good", "F32", "[2]", "[0,8]");
  const std::string eight = "12345678";
  REQUIRE(refusal(folder, assemble("{" + good + "}", eight)).empty());
  struct Damaged {
    std::string content, reason;
  };
  const auto withHeader = [&](const std::string& header) { return assemble(header, eight); };
  const std::vector<Damaged> cases = {
      {"", "too short"},
      {"1234567", "too short"},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "{}", "100 MB"},
      {std::string("\x03\0\0\0\0\0\0\0", 8) + "{}", "claims 3 bytes"},
      {withHeader(""), "expected '{'"},
      {withHeader("[]"), "expected '{'"},
      {withHeader("{" + good), "expected '}'"},
      {withHeader("{" + good + "} x"), "text after"},
      {withHeader("{" + good + ",}"), "expected '\"'"},
      {withHeader("{" + good + "," + good + "}"), "'good' appears twice"},
      {withHeader("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}," + good + "}"), "'a' appears twice"},
      {withHeader("{\"__metadata__\":{\"a\":1}," + good + "}"), "expected '\"'"},
      {withHeader("{" + tensor("bad", "F31", "[2]", "[0,8]") + "}"), "'bad': unknown dtype 'F31'"},
      {withHeader("{" + tensor("bad", "F32", "[3]", "[0,8]") + "}"),
       "'bad': its shape and dtype take 12 bytes"},
      {withHeader("{" + tensor("bad", "F32", "[-2]", "[0,8]") + "}"), "non-negative integer"},
      {withHeader("{" + tensor("bad", "F32", "[2.0]", "[0,8]") + "}"), "expected ']'"},
      {withHeader("{" + tensor("bad", "F32", "[02]", "[0,8]") + "}"), "must not begin with 0"},
      {withHeader("{" + tensor("bad", "F32", "[9223372036854775808]", "[0,8]") + "}"), "too large"},
      {withHeader("{" + tensor("bad", "F32", "[4611686018427387904,4]", "[0,8]") + "}"),
       "'bad': its shape is too large"},
      {withHeader("{" + tensor("bad", "F32", "[4294967296,4294967296,0]", "[0,0]") + "}"),
       "'bad': its shape is too large"},
      {withHeader("{" + tensor("bad", "F32", "[2]", "[8,0]") + "}"), "'bad': data_offsets run backwards"},
      {withHeader("{" + tensor("bad", "F32", "[2]", "[0,4,8]") + "}"), "'bad': data_offsets must be"},
      {withHeader("{" + tensor("bad", "F32", "[4]", "[0,16]") + "}"), "'bad' ends at byte 16"},
      {withHeader("{" + tensor("bad", "F32", "[1]", "[4,8]") + "}"), "'bad' begins at byte 4"},
      {withHeader("{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("bad", "F32", "[1]", "[4,8]") +
                  "}"),
       "'bad' begins at byte 4"},
      {withHeader("{" + tensor("a", "F32", "[1]", "[0,4]") + "}"), "4 bytes follow the last tensor"},
      {withHeader("{\"bad\":{\"dtype\":\"F32\",\"shape\":[2]}}"),
       "'bad' needs dtype, shape and data_offsets"},
      {withHeader("{\"bad\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2]}}"), "two members 'dtype'"},
      {withHeader("{\"bad\":{\"more\":1}}"), "unknown member 'more'"},
      {withHeader("{\"a\nb\":{}}"), "control character"},
      {withHeader("{\"\\x\":{}}"), "unknown escape"},
      {withHeader("{\"\\u12g4\":{}}"), "four hexadecimal digits"},
      {withHeader("{\"\\ud800\":{}}"), "surrogate"},
      {withHeader("{\"\\udc00\":{}}"), "surrogate"},
      {withHeader("{\"abc"), "does not end"},
  };
  for (const Damaged& damaged : cases) {
    const std::string message = refusal(folder, damaged.content);
    CAPTURE(damaged.reason);
    CAPTURE(message);
    CHECK(message.starts_with("ERR_CHECKPOINT " + folder.file("case.safetensors")));
    CHECK(message.find(damaged.reason) != std::string::npos);
  }
}

TEST_CASE("safetensors: a file that is cut short after it was opened is an error when it is read") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::vector<float> values(10'000, 1);
  writeSafetensors(path, {{"a", "F32", {10'000}, values.data(), 40'000}}, {});
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, 20'000);
  const SafetensorsEntry& entry = file.entries().at("a");
  std::vector<float> read(10'000);
  file.read(entry, 0, 10'000, read.data());
  CHECK(read[2'499] == 1);
  try {
    file.read(entry, 0, 40'000, read.data());
    FAIL("was read");
  } catch (const Error& error) {
    CHECK(error.code() == "ERR_CHECKPOINT");
    CHECK(std::string(error.what()).starts_with(path + ": it ends at byte 20000, but had "));
  }
}

TEST_CASE("safetensors: system errors name the path and the reason") {
  const TemporaryFolder folder;
  const auto messageOf = [](auto action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      return error.code() + " " + error.what();
    }
    return "";
  };
  const std::string absent = folder.file("absent/x.safetensors");
  CHECK(messageOf([&] { const SafetensorsFile file(absent); }) ==
        "ERR_IO could not open " + absent + ": No such file or directory");
  CHECK(messageOf([&] { writeSafetensors(absent, {}, {}); }) ==
        "ERR_IO could not open " + absent + ": No such file or directory");
  CHECK(messageOf([&] { const SafetensorsFile file(folder.file(".")); }).find("not a regular file") !=
        std::string::npos);
  if (std::filesystem::exists("/dev/full")) {
    const float value = 1;
    CHECK(messageOf([&] {
            writeSafetensors("/dev/full", {{"a", "F32", {1}, &value, 4}}, {});
          }) == "ERR_IO could not write /dev/full: No space left on device");
  }
  const float value = 1;
  const std::string path = folder.file("a.safetensors");
  CHECK(messageOf([&] {
          writeSafetensors(path, {{"a", "F32", {2}, &value, 4}}, {});
        }).starts_with("ERR_ARGUMENT"));
  CHECK(messageOf([&] {
          writeSafetensors(path, {{"a", "F32", {1}, &value, 4}, {"a", "F32", {1}, &value, 4}}, {});
        }).starts_with("ERR_ARGUMENT"));
}

// With the address sanitizer this finds reads outside the text; everywhere it finds crashes, hangs and
// accepted nonsense.
TEST_CASE("safetensors: random mutations of a header are parsed or refused, never worse") {
  const std::string seedText = "{\"__metadata__\":{\"format\":\"pt\",\"\\u00e9\\n\":\"x\"}," +
                               tensor("a.b", "F32", "[2,3]", "[0,24]") + "," +
                               tensor("c", "BF16", "[]", "[24,26]") + "," +
                               tensor("d", "I64", "[0]", "[26,26]") + "}  ";
  REQUIRE(parseSafetensorsHeader(seedText).tensors.size() == 3);
  const std::string alphabet = "{}[]\",:\\u0123456789-.eE truefalsn\n\x01\xff";
  int accepted = 0, refused = 0;
  for (uint64_t round = 0; round < 60000; ++round) {
    std::string text = seedText;
    const auto bits = philox(1, 0, round);
    for (uint32_t edit = 0; edit <= bits[0] % 3; ++edit) {
      const auto draw = philox(2, edit, round);
      const size_t at = text.empty() ? 0 : draw[0] % text.size();
      const char letter = alphabet[draw[1] % alphabet.size()];
      switch (draw[2] % 5) {
        case 0:
          text.insert(at, 1, letter);
          break;
        case 1:
          if (!text.empty()) text.erase(at, 1 + draw[3] % 4);
          break;
        case 2:
          if (!text.empty()) text[at] = letter;
          break;
        case 3:
          text.resize(at);
          break;
        default:
          text.insert(at, text.substr(draw[3] % (text.size() + 1), 12));
          break;
      }
    }
    // A heap copy of exactly the right size, so that a sanitizer sees one byte too many.
    const std::vector<char> exact(text.begin(), text.end());
    try {
      const SafetensorsHeader header = parseSafetensorsHeader({exact.data(), exact.size()});
      const SafetensorsHeader again = parseSafetensorsHeader(writeSafetensorsHeader(header));
      REQUIRE(again.tensors.size() == header.tensors.size());
      REQUIRE(again.metadata == header.metadata);
      for (const SafetensorsHeader::Tensor& t : header.tensors)
        REQUIRE(t.end - t.begin == safetensorsBytes(t.dtype, t.shape));
      ++accepted;
    } catch (const SafetensorsHeaderError&) {
      ++refused;
    }
  }
  CHECK(accepted > 100);
  CHECK(refused > 10000);
}
