#include "cuda/cublas.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cassert>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace hdpo::cuda {

namespace {

// These are values of cublas_api.h and library_types.h, unchanged since cuBLAS 11.
using Status = int;
using Handle = void*;
constexpr Status kSuccess = 0;
constexpr int kNoTranspose = 0, kTranspose = 1;
constexpr int kFloat32 = 0, kBFloat16 = 14;  // cudaDataType_t
// cublasComputeType_t: float32 sums; TF32 only where a math mode asks for it.
constexpr int kComputeFloat32 = 68;
constexpr int kDefaultAlgorithm = -1;
// cublasMath_t: where inner sums are split, the parts too are added in float32, not in the result's type.
constexpr int kNoReducedPrecision = 16;
constexpr int kMajorVersion = 0, kMinorVersion = 1, kPatchLevel = 2;  // libraryPropertyType

const char* nameOf(Status status) {
  switch (status) {
    case 1:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case 3:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case 7:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case 8:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case 11:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case 13:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case 14:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case 15:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "an unknown status";
  }
}

void check(Status status, const std::string& what) {
  require(status == kSuccess, "ERR_CUDA",
          what + " failed with " + nameOf(status) + " (" + std::to_string(status) + ")");
}

}  // namespace

struct CublasLibrary {
  std::string path;
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  Status (*setStream)(Handle, void* stream);
  Status (*setWorkspace)(Handle, void* workspace, size_t bytes);
  Status (*setMathMode)(Handle, int mode);
  Status (*getProperty)(int property, int* value);
  Status (*gemm)(Handle, int transposeA, int transposeB, int m, int n, int k, const void* alpha,
                 const void* a, int typeA, int strideA, const void* b, int typeB, int strideB,
                 const void* beta, void* c, int typeC, int strideC, int computeType, int algorithm);
};

namespace {

std::vector<std::string> candidates() {
  const std::vector<std::string> names = {"libcublas.so.13", "libcublas.so.12"};
  std::vector<std::string> paths;
  const auto inFolder = [&](const std::string& folder) {
    for (const std::string& name : names) paths.push_back(folder + "/" + name);
  };
  if (const char* given = std::getenv("HDPO_CUBLAS_PATH"); given && *given) {
    struct stat found {};
    const bool folder = stat(given, &found) == 0 && S_ISDIR(found.st_mode);
    if (folder)
      inFolder(given);
    else
      paths.emplace_back(given);
    return paths;  // what the user names, or nothing
  }
  paths = names;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* toolkit = std::getenv(variable); toolkit && *toolkit)
      inFolder(std::string(toolkit) + "/lib64");
  }
  inFolder("/usr/local/cuda/lib64");
  return paths;
}

// libcublas needs the libcublasLt of its own version, which lies beside it and not always where the loader
// looks.
void loadCompanion(const std::string& path) {
  const size_t slash = path.rfind('/'), suffix = path.rfind(".so");
  if (slash == std::string::npos || suffix == std::string::npos || suffix < slash) return;
  dlopen((path.substr(0, slash) + "/libcublasLt" + path.substr(suffix)).c_str(), RTLD_NOW | RTLD_GLOBAL);
}

template <class Function>
void resolve(void* library, const std::string& path, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  require(function != nullptr, "ERR_DEVICE",
          path + " has no function " + name + "; cuBLAS 12 or 13 is needed");
}

CublasLibrary load() {
  std::string tried;
  for (const std::string& path : candidates()) {
    loadCompanion(path);
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      const char* reason = dlerror();
      tried += "\n  " + std::string(reason ? reason : path.c_str());
      continue;
    }
    CublasLibrary found{};
    found.path = path;
    resolve(library, path, "cublasCreate_v2", found.create);
    resolve(library, path, "cublasDestroy_v2", found.destroy);
    resolve(library, path, "cublasSetStream_v2", found.setStream);
    resolve(library, path, "cublasSetWorkspace_v2", found.setWorkspace);
    resolve(library, path, "cublasSetMathMode", found.setMathMode);
    resolve(library, path, "cublasGetProperty", found.getProperty);
    resolve(library, path, "cublasGemmEx", found.gemm);
    return found;
  }
  throw Error(
      "ERR_DEVICE",
      "cuBLAS is missing: install the CUDA toolkit's libcublas 12 or 13, or set HDPO_CUBLAS_PATH to the file "
      "or its folder. Tried:" +
          tried);
}

int typeOf(const Tensor& tensor) { return tensor.dtype == DType::BFloat16 ? kBFloat16 : kFloat32; }

int narrow(int64_t value) {
  require(value <= std::numeric_limits<int>::max(), "ERR_SHAPE",
          "a matrix product has a side of " + std::to_string(value) + ", more than cuBLAS takes");
  return static_cast<int>(value);
}

}  // namespace

const CublasLibrary& cublasLibrary() {
  static std::mutex mutex;
  static std::unique_ptr<CublasLibrary> library;  // stays loaded; a failed load is tried again
  const std::lock_guard<std::mutex> lock(mutex);
  if (!library) library = std::make_unique<CublasLibrary>(load());
  return *library;
}

std::string cublasPath() { return cublasLibrary().path; }

std::string cublasVersion() {
  int major = 0, minor = 0, patch = 0;
  const CublasLibrary& library = cublasLibrary();
  check(library.getProperty(kMajorVersion, &major), "cublasGetProperty");
  check(library.getProperty(kMinorVersion, &minor), "cublasGetProperty");
  check(library.getProperty(kPatchLevel, &patch), "cublasGetProperty");
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

Cublas::Cublas(Stream stream, void* workspace, size_t workspaceBytes) {
  const CublasLibrary& library = cublasLibrary();
  check(library.create(&handle_), "cublasCreate");
  try {
    check(library.setStream(handle_, stream), "cublasSetStream");
    check(library.setWorkspace(handle_, workspace, workspaceBytes), "cublasSetWorkspace");
    check(library.setMathMode(handle_, kNoReducedPrecision), "cublasSetMathMode");
  } catch (...) {
    library.destroy(handle_);
    throw;
  }
}

Cublas::~Cublas() { cublasLibrary().destroy(handle_); }

// cuBLAS is column-major, where a row-major matrix is its own transpose: we ask for out^T = op(b)^T *
// op(a)^T.
void Cublas::product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                     float beta) {
  const int64_t rows = out.shape[0], columns = out.shape[1], inner = a.shape[transposeA ? 0 : 1];
  assert(out.rank == 2 && a.rank == 2 && b.rank == 2 && a.dtype == b.dtype);
  assert(a.shape[transposeA ? 1 : 0] == rows && b.shape[transposeB ? 1 : 0] == inner);
  assert(b.shape[transposeB ? 0 : 1] == columns);
  if (rows == 0 || columns == 0) return;
  const float one = 1;
  const Status status = cublasLibrary().gemm(
      handle_, transposeB ? kTranspose : kNoTranspose, transposeA ? kTranspose : kNoTranspose,
      narrow(columns), narrow(rows), narrow(inner), &one, b.data, typeOf(b), narrow(b.shape[1]), a.data,
      typeOf(a), narrow(a.shape[1]), &beta, out.data, typeOf(out), narrow(columns), kComputeFloat32,
      kDefaultAlgorithm);
  check(status, "cublasGemmEx [" + std::to_string(rows) + ", " + std::to_string(inner) + "] x [" +
                    std::to_string(inner) + ", " + std::to_string(columns) + "]");
}

}  // namespace hdpo::cuda
