// A small fuzzer for compilers without libFuzzer: hdpo_fuzz --seconds 20 --seed 1 [--keep FOLDER], or hdpo_fuzz FILE to run one input again.
// Inputs that reach code that none has reached before (g++'s -fsanitize-coverage=trace-pc tells) are mutated further. What ends the
// process is written to FOLDER/failure first.
#include <signal.h>
#include <unistd.h>

#include <bitset>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "targets.h"
#include "temporary_folder.h"

namespace {

constexpr size_t kPlaces = size_t{1} << 16;
constexpr unsigned kSecondsForOne = 20;
std::bitset<kPlaces> reached;
size_t reachedNow = 0;

std::string current, failurePath = "failure";

void keepInput() {
  FILE* file = std::fopen(failurePath.c_str(), "wb");
  if (!file) return;
  std::fwrite(current.data(), 1, current.size(), file);
  std::fclose(file);
  std::fprintf(stderr, "\nthe input is in %s\n", failurePath.c_str());
}

void onSignal(int number) {
  if (number == SIGALRM) std::fprintf(stderr, "\none input takes more than %u s\n", kSecondsForOne);
  keepInput();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

// The sanitizers call it before they end the process.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

// Called at every basic block of what is compiled with trace-pc.
extern "C" __attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  const size_t index = (place ^ (place >> 16)) % kPlaces;
  if (!reached[index]) {
    reached[index] = true;
    ++reachedNow;
  }
}

namespace {

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t below(size_t count) { return static_cast<size_t>(random_() % count); }

  // The first byte, which chooses the reader, stays.
  std::string mutated(std::string input, const std::string& other) {
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      if (input.size() < 2) input += '\0';
      const size_t at = 1 + below(input.size() - 1),
                   length = 1 + below(std::min<size_t>(input.size() - at, 64));
      switch (below(9)) {
        case 0:
          input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
          break;
        case 1:
          input[at] = static_cast<char>(below(256));
          break;
        case 2:
          input.erase(at, length);
          break;
        case 3:
          input.insert(at, input.substr(at, length));
          break;
        case 4:
          replaceNumber(input, at);
          break;
        case 5:
          input.insert(at, kPieces[below(std::size(kPieces))]);
          break;
        case 6:
          if (other.size() > 1) input.insert(at, other.substr(1 + below(other.size() - 1), length));
          break;
        case 7:
          input.resize(at);
          break;
        default:
          writeInteger(input, at);
      }
      if (input.size() > kLargest) input.resize(kLargest);
    }
    return input;
  }

 private:
  static constexpr size_t kLargest = 1 << 16;
  static constexpr const char* kNumbers[] = {"0",
                                             "-1",
                                             "1",
                                             "2147483648",
                                             "4294967296",
                                             "9223372036854775807",
                                             "9223372036854775808",
                                             "18446744073709551615",
                                             "1e9",
                                             "00",
                                             "1.0",
                                             "3037000500"};
  static constexpr const char* kPieces[] = {"{",
                                            "}",
                                            "[",
                                            "]",
                                            "\"",
                                            ",",
                                            ":",
                                            "\\u0000",
                                            "\\ud800",
                                            "\\udc00",
                                            "null",
                                            "__metadata__",
                                            "\"dtype\":\"F64\"",
                                            "\"shape\":[0,9223372036854775807]",
                                            "\"data_offsets\":[0,0]",
                                            "BF16",
                                            "\xff\xfe",
                                            "   "};

  // The decimal number at or after a place.
  void replaceNumber(std::string& input, size_t at) {
    const size_t begin = input.find_first_of("0123456789", at);
    if (begin == std::string::npos) return;
    const size_t end = input.find_first_not_of("0123456789", begin);
    input.replace(begin, (end == std::string::npos ? input.size() : end) - begin,
                  kNumbers[below(std::size(kNumbers))]);
  }

  // Eight little-endian bytes: one of the sizes around which arithmetic breaks, or NaN and infinity as two floats.
  void writeInteger(std::string& input, size_t at) {
    constexpr uint64_t values[] = {
        0, 1, 8, 100, UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 32, 0x7FC000007F800000};
    const uint64_t value = values[below(std::size(values))];
    input.replace(at, std::min(sizeof value, input.size() - at), reinterpret_cast<const char*>(&value),
                  sizeof value);
  }

  std::mt19937_64 random_;
};

// Whether it has reached anything new.
bool runOne(std::string input) {
  current = std::move(input);
  reachedNow = 0;
  ::alarm(kSecondsForOne);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
  ::alarm(0);
  return reachedNow > 0;
}

int fuzz(double seconds, uint64_t seed) {
  std::vector<std::string> inputs = hdpo::fuzz::seeds();
  for (const std::string& input : inputs) runOne(input);
  Mutator mutator(seed);
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  uint64_t runs = inputs.size();
  while (elapsed() < seconds) {
    const std::string& base = inputs[mutator.below(inputs.size())];
    if (runOne(mutator.mutated(base, inputs[mutator.below(inputs.size())]))) inputs.push_back(current);
    ++runs;
  }
  std::printf("%llu runs, %zu inputs kept, %zu places reached\n", static_cast<unsigned long long>(runs),
              inputs.size(), reached.count());
  return 0;
}

}  // namespace

int main(int count, char** given) {
  double seconds = 20;
  uint64_t seed = 1;
  std::string file;
  for (int i = 1; i < count; ++i) {
    const std::string name = given[i];
    const bool hasValue = i + 1 < count;
    if (name == "--seconds" && hasValue) {
      seconds = std::strtod(given[++i], nullptr);
    } else if (name == "--seed" && hasValue) {
      seed = std::strtoull(given[++i], nullptr, 10);
    } else if (name == "--keep" && hasValue) {
      failurePath = std::string(given[++i]) + "/failure";
    } else {
      file = name;
    }
  }
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keepInput);
  for (const int number : {SIGABRT, SIGALRM}) ::signal(number, onSignal);
  if (file.empty()) return fuzz(seconds, seed);
  runOne(hdpo::readFile(file));
  std::puts("nothing happened");
  return 0;
}
