// One exception type for the whole native library. `code` is stable and machine-readable ("ERR_SHAPE"); the
// binding turns it into a JS HdpoError. Nothing in native code exits or aborts the process.
#pragma once

#include <stdexcept>
#include <string>

namespace hdpo {

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

// Checks what a caller may get wrong; cheap enough to stay on in release builds.
inline void require(bool condition, const char* code, const std::string& message) {
  if (!condition) throw Error(code, message);
}

}  // namespace hdpo
