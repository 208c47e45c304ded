// Memory and threads of the CPU backend. The kernels are beside this file, one family per file.
#include "cpu/cpu_backend.h"

#include <omp.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace hdpo {

namespace {

// The addon is compiled for the machine that builds it. A binary carried to an older processor must say so
// and not die of SIGILL.
void requireInstructionSet() {
#if defined(__x86_64__)
#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)
  require(__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni"), "ERR_CPU_UNSUPPORTED",
          "this build of hdpo needs a processor with AVX512-BF16 and AVX512-VNNI; rebuild it on this machine "
          "(npm "
          "run build)");
#elif defined(__AVX512F__)
  require(__builtin_cpu_supports("avx512f"), "ERR_CPU_UNSUPPORTED",
          "this build of hdpo needs a processor with AVX-512; rebuild it on this machine (npm run build)");
#elif defined(__AVX2__)
  require(
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), "ERR_CPU_UNSUPPORTED",
      "this build of hdpo needs a processor with AVX2 and FMA; rebuild it on this machine (npm run build)");
#endif
#endif
}

}  // namespace

std::unique_ptr<Backend> createCpuBackend(int threads) {
  requireInstructionSet();
  return std::make_unique<CpuBackend>(threads);
}

CpuBackend::CpuBackend(int threads)
    : threads_(threads > 0 ? threads : omp_get_num_procs()),
      waiting_(threads_ > 1 ? ThreadWaiting::ofProcess() : nullptr),
      products_(*this, processorHasBFloat16()) {
  // This applies to the calling thread's parallel regions, oneDNN's included, so the engine thread has to
  // create its own backend.
  omp_set_num_threads(threads_);
}

// The calling thread's pool ends with its backend, not with the thread. Otherwise GNU OpenMP would count it
// on, and let the threads of the next engine sleep between ops as if both pools ran (thread_waiting.h).
CpuBackend::~CpuBackend() { omp_pause_resource_all(omp_pause_soft); }

// Large buffers lie on huge pages where the system grants them. With small pages, the strided accesses of
// attention and the first touch of a buffer spend more time on page tables than on the data.
void* CpuBackend::allocate(size_t bytes) {
  constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kLine;
  const size_t rounded = std::max((bytes + alignment - 1) / alignment, size_t{1}) * alignment;
  void* pointer = std::aligned_alloc(alignment, rounded);
  require(pointer != nullptr, "ERR_OUT_OF_MEMORY", "could not allocate " + std::to_string(bytes) + " bytes");
#if defined(__linux__)
  // This is advice only: it fails where the kernel has no huge pages, and small ones serve as well.
  if (alignment == kHugePage) static_cast<void>(madvise(pointer, rounded, MADV_HUGEPAGE));
#endif
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
