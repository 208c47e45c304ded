#include "io/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <set>

#include "core/error.h"
#include "io/safetensors_header.h"

namespace hdpo {

static_assert(std::endian::native == std::endian::little,
              "safetensors data is little-endian and used in place");

namespace {

constexpr uint64_t kHeaderLengthBytes = 8;
constexpr uint64_t kLargestHeader = 100'000'000;  // as in the reference implementation
constexpr size_t kLargestCall = size_t{1} << 30;  // Linux reads and writes at most 2 GiB per call

[[noreturn]] void throwSystemError(const std::string& action, const std::string& path) {
  const int reason = errno;
  throw Error("ERR_IO", action + " " + path + ": " + std::strerror(reason));
}

}  // namespace

class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags)
      : number_(path.find('\0') == std::string::npos ? ::open(path.c_str(), flags | O_CLOEXEC, 0644) : -1) {
    require(path.find('\0') == std::string::npos, "ERR_ARGUMENT", "a path must not hold a NUL character");
    if (number_ < 0) throwSystemError("could not open", path);
  }
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int number() const { return number_; }
  // Reports the error of a late write-back, which the destructor cannot.
  void close(const std::string& path) {
    const int number = number_;
    number_ = -1;
    if (::close(number) != 0) throwSystemError("could not close", path);
  }

 private:
  int number_;
};

namespace {

void writeAll(int descriptor, const void* data, size_t bytes, const std::string& path) {
  const char* position = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, position, std::min(bytes, kLargestCall));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throwSystemError("could not write", path);
    position += written;
    bytes -= static_cast<size_t>(written);
  }
}

// The header that describes `tensors` laid end to end. It is padded with spaces so that the data begins at a
// multiple of 8.
std::string describe(const std::vector<SafetensorsWrite>& tensors,
                     const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header;
  header.metadata = metadata;
  std::set<std::string> names = {"__metadata__"};
  uint64_t offset = 0;
  for (const SafetensorsWrite& tensor : tensors) {
    require(names.insert(tensor.name).second, "ERR_ARGUMENT",
            "the tensor name '" + tensor.name + "' is taken");
    require(safetensorsBytes(tensor.dtype, tensor.shape) == tensor.bytes, "ERR_ARGUMENT",
            "tensor '" + tensor.name + "' has " + std::to_string(tensor.bytes) +
                " bytes, which its shape does not take");
    header.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, offset, offset + tensor.bytes});
    offset += tensor.bytes;
  }
  std::string text = writeSafetensorsHeader(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  require(text.size() <= kLargestHeader, "ERR_ARGUMENT",
          "the safetensors header would be larger than 100 MB");
  return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path)
    : path_(path), file_(std::make_unique<FileDescriptor>(path, O_RDONLY | O_NONBLOCK)) {
  struct stat status {};
  if (::fstat(file_->number(), &status) != 0) throwSystemError("could not examine", path_);
  if (!S_ISREG(status.st_mode)) refuse("not a regular file");  // a FIFO has not been waited for
  length_ = static_cast<uint64_t>(status.st_size);
  if (length_ < kHeaderLengthBytes)
    refuse("too short to be a safetensors file (" + std::to_string(length_) + " bytes)");
  readEntries();
}

SafetensorsFile::~SafetensorsFile() = default;

void SafetensorsFile::readAll(uint64_t offset, size_t bytes, void* to) const {
  char* position = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t count =
        ::pread(file_->number(), position, std::min(bytes, kLargestCall), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throwSystemError("could not read", path_);
    if (count == 0) {
      refuse("it ends at byte " + std::to_string(offset) + ", but had " + std::to_string(length_) +
             " bytes when it was opened: something has shortened it meanwhile");
    }
    position += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<size_t>(count);
  }
}

void SafetensorsFile::read(const SafetensorsEntry& entry, size_t begin, size_t bytes, void* to) const {
  require(begin <= entry.bytes && bytes <= entry.bytes - begin, "ERR_INTERNAL",
          path_ + ": a read beyond the end of a tensor");
  readAll(entry.offset + begin, bytes, to);
}

std::string SafetensorsFile::headerText() const {
  uint64_t bytes = 0;
  readAll(0, kHeaderLengthBytes, &bytes);
  if (bytes > kLargestHeader)
    refuse("its header claims " + std::to_string(bytes) + " bytes; at most 100 MB are allowed");
  if (bytes > length_ - kHeaderLengthBytes) {
    refuse("its header claims " + std::to_string(bytes) + " bytes, but the file has " +
           std::to_string(length_));
  }
  std::string text(static_cast<size_t>(bytes), '\0');
  readAll(kHeaderLengthBytes, text.size(), text.data());
  return text;
}

// Tensors must tile the data exactly: overlaps, holes and bytes beyond the last tensor are all refused.
void SafetensorsFile::readEntries() {
  const std::string text = headerText();
  SafetensorsHeader header;
  try {
    header = parseSafetensorsHeader(text);
  } catch (const SafetensorsHeaderError& error) {
    refuse(error.what());
  }
  const uint64_t dataBytes = length_ - kHeaderLengthBytes - text.size();
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t position = 0;
  for (SafetensorsHeader::Tensor& tensor : header.tensors) {
    if (tensor.end > dataBytes) {
      refuse("tensor '" + tensor.name + "' ends at byte " + std::to_string(tensor.end) +
             " of the data, which has " + std::to_string(dataBytes) + "; is the file cut short?");
    }
    if (tensor.begin != position) {
      refuse("tensor '" + tensor.name + "' begins at byte " + std::to_string(tensor.begin) +
             " of the data, but " + std::to_string(position) +
             " was expected: tensors overlap or leave a hole");
    }
    position = tensor.end;
    entries_[tensor.name] = {tensor.dtype, tensor.shape, kHeaderLengthBytes + text.size() + tensor.begin,
                             static_cast<size_t>(tensor.end - tensor.begin)};
  }
  if (position != dataBytes) refuse(std::to_string(dataBytes - position) + " bytes follow the last tensor");
  metadata_ = std::move(header.metadata);
}

void SafetensorsFile::refuse(const std::string& reason) const {
  throw Error("ERR_CHECKPOINT", path_ + ": " + reason);
}

struct SafetensorsWriter::File {
  explicit File(const std::string& name) : path(name), descriptor(name, O_WRONLY | O_CREAT | O_TRUNC) {}
  std::string path;
  FileDescriptor descriptor;
};

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<SafetensorsWrite>& tensors,
                                     const std::map<std::string, std::string>& metadata) {
  const std::string header = describe(tensors, metadata);
  const uint64_t headerBytes = header.size();
  for (const SafetensorsWrite& tensor : tensors) missing_ += tensor.bytes;
  file_ = std::make_unique<File>(path);
  writeAll(file_->descriptor.number(), &headerBytes, sizeof headerBytes, path);
  writeAll(file_->descriptor.number(), header.data(), header.size(), path);
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::append(const void* data, size_t bytes) {
  require(bytes <= missing_, "ERR_INTERNAL", file_->path + ": more data than its header describes");
  missing_ -= bytes;
  writeAll(file_->descriptor.number(), data, bytes, file_->path);
}

void SafetensorsWriter::finish() {
  require(missing_ == 0, "ERR_INTERNAL", file_->path + ": less data than its header describes");
  if (::fsync(file_->descriptor.number()) != 0) throwSystemError("could not flush", file_->path);
  file_->descriptor.close(file_->path);
}

void writeTextFile(const std::string& path, const std::string& text) {
  FileDescriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  writeAll(file.number(), text.data(), text.size(), path);
  if (::fsync(file.number()) != 0) throwSystemError("could not flush", path);
  file.close(path);
}

void writeSafetensors(const std::string& path, const std::vector<SafetensorsWrite>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(path, tensors, metadata);
  for (const SafetensorsWrite& tensor : tensors) writer.append(tensor.data, tensor.bytes);
  writer.finish();
}

}  // namespace hdpo
