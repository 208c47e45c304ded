#include "io/exchange_paths.h"

#include <cerrno>
#include <cstring>

#include "core/error.h"

#if defined(__linux__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <stdio.h>
#endif

namespace hdpo {

bool exchangePaths(const std::string& a, const std::string& b) {
  require((a + b).find('\0') == std::string::npos, "ERR_ARGUMENT", "a path must not hold a NUL character");
#if defined(__linux__) && defined(SYS_renameat2)
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE, which older C libraries do not name
  const long result = ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), kExchange);
#elif defined(__APPLE__)
  const int result = ::renamex_np(a.c_str(), b.c_str(), RENAME_SWAP);
#else
  const int result = -1;
  errno = ENOSYS;
#endif
  if (result == 0) return true;
  const int reason = errno;
  if (reason == EINVAL || reason == ENOSYS || reason == ENOTSUP || reason == EOPNOTSUPP) return false;
  throw Error("ERR_IO", "could not exchange " + a + " and " + b + ": " + std::strerror(reason));
}

}  // namespace hdpo
