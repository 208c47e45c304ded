// What the fuzzer feeds: the readers of the native core that take bytes from outside. The first byte of an input chooses the reader,
// the rest is what it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hdpo::fuzz {

// Valid inputs of every reader, from which the others are made.
std::vector<std::string> seeds();

}  // namespace hdpo::fuzz

// As libFuzzer calls it. Ends the process by abort() where a reader does what it must not.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
