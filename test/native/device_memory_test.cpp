// Model, training, generation and files go through the backend for everything that lies in its memory.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "device_memory_backend.h"
#include "whole_engine.h"

using namespace hdpo;

TEST_CASE("device memory: what the test backend hands out, the host can neither read nor write") {
  DeviceMemoryBackend backend(1);
  const Buffer buffer(backend, 100);
  // The system refuses to read from or write to memory that the process may not touch.
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK(write(ends[1], buffer.data(), 1) == -1);
  CHECK(errno == EFAULT);
  REQUIRE(write(ends[1], "x", 1) == 1);
  CHECK(read(ends[0], buffer.data(), 1) == -1);
  CHECK(errno == EFAULT);
  close(ends[0]);
  close(ends[1]);
  const float value = 3;
  float back = 0;
  backend.copyFromHost(buffer.data(), &value, sizeof value);
  backend.copyToHost(&back, buffer.data(), sizeof back);
  CHECK(back == 3);
}

TEST_CASE("device memory: an engine's whole life touches it by ops and copies alone, and computes the same") {
  for (const NamedEngine& variant : engineVariants()) {
    CAPTURE(variant.name);
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(named.name);
      const auto cpu = createCpuBackend(1);
      const EngineRun expected = runEngine(*cpu, named.config, variant);
      DeviceMemoryBackend device(1);
      const EngineRun found = runEngine(device, named.config, variant);
      CHECK(found.logprobs == expected.logprobs);
      CHECK(found.numbers == expected.numbers);
      CHECK(found.sampled == expected.sampled);
      CHECK(found.sampledLogprobs == expected.sampledLogprobs);
      CHECK(found.sampled.size() == 42);
      CHECK(device.allocations() == 0);
    }
  }
}
