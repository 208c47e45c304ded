// Memory and threads of the CPU backend; the kernels are beside this file, one family a file.
#include "cpu/cpu_backend.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace hdpo {

namespace {

// The addon is compiled for the machine that builds it; a binary carried to an older processor must say so, not die of SIGILL.
void requireInstructionSet() {
#if defined(__x86_64__)
#if defined(__AVX512F__)
  require(__builtin_cpu_supports("avx512f"), "ERR_CPU_UNSUPPORTED",
          "this build of hdpo needs a processor with AVX-512; rebuild it on this machine (npm run build)");
#elif defined(__AVX2__)
  require(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), "ERR_CPU_UNSUPPORTED",
          "this build of hdpo needs a processor with AVX2 and FMA; rebuild it on this machine (npm run build)");
#endif
#endif
}

}  // namespace

std::unique_ptr<Backend> createCpuBackend(int threads) {
  requireInstructionSet();
  return std::make_unique<CpuBackend>(threads);
}

CpuBackend::CpuBackend(int threads) : threads_(threads > 0 ? threads : omp_get_num_procs()) {
  // Applies to the calling thread's parallel regions, oneDNN's included: the engine thread creates its own backend.
  omp_set_num_threads(threads_);
}

void* CpuBackend::allocate(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  void* pointer = std::aligned_alloc(64, rounded == 0 ? 64 : rounded);
  require(pointer != nullptr, "ERR_OUT_OF_MEMORY", "could not allocate " + std::to_string(bytes) + " bytes");
  return pointer;
}

void CpuBackend::release(void* pointer) noexcept { std::free(pointer); }
void CpuBackend::copyFromHost(void* destination, const void* source, size_t bytes) {
  std::memcpy(destination, source, bytes);
}
void CpuBackend::copyToHost(void* destination, const void* source, size_t bytes) {
  std::memcpy(destination, source, bytes);
}
void CpuBackend::zero(void* destination, size_t bytes) { std::memset(destination, 0, bytes); }

}  // namespace hdpo
