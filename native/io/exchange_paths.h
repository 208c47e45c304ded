// Exchanges two files or folders in one step, so that neither name is ever without one.
#pragma once

#include <string>

namespace hdpo {

// False where the system or the file system cannot (NFS, and systems other than Linux and macOS); nothing has
// changed then. Throws ERR_IO, naming both paths and the system's reason, where they cannot be exchanged.
bool exchangePaths(const std::string& a, const std::string& b);

}  // namespace hdpo
