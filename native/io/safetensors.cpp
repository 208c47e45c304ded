#include "io/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
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
constexpr uint64_t kLargestHeader = 100'000'000;   // as in the reference implementation
constexpr size_t kLargestWrite = size_t{1} << 30;  // Linux writes at most 2 GiB per call

[[noreturn]] void throwSystemError(const std::string& action, const std::string& path) {
  const int reason = errno;
  throw Error("ERR_IO", action + " " + path + ": " + std::strerror(reason));
}

class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags)
      : number_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
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

void writeAll(int descriptor, const void* data, size_t bytes, const std::string& path) {
  const char* position = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, position, std::min(bytes, kLargestWrite));
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

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path) {
  map();
  try {
    readEntries();
  } catch (...) {  // the destructor of a half-built object does not run
    unmap();
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { unmap(); }

void SafetensorsFile::map() {
  const FileDescriptor file(path_, O_RDONLY | O_NONBLOCK);  // a FIFO is refused below, not waited for
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throwSystemError("could not examine", path_);
  if (!S_ISREG(status.st_mode)) refuse("not a regular file");
  length_ = static_cast<size_t>(status.st_size);
  if (length_ < kHeaderLengthBytes)
    refuse("too short to be a safetensors file (" + std::to_string(length_) + " bytes)");
  void* mapping = ::mmap(nullptr, length_, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (mapping == MAP_FAILED) throwSystemError("could not map", path_);
  mapping_ = mapping;
}

void SafetensorsFile::unmap() noexcept {
  if (mapping_) ::munmap(mapping_, length_);
  mapping_ = nullptr;
}

std::string_view SafetensorsFile::headerText() const {
  uint64_t bytes = 0;
  std::memcpy(&bytes, mapping_, kHeaderLengthBytes);
  if (bytes > kLargestHeader)
    refuse("its header claims " + std::to_string(bytes) + " bytes; at most 100 MB are allowed");
  if (bytes > length_ - kHeaderLengthBytes) {
    refuse("its header claims " + std::to_string(bytes) + " bytes, but the file has " +
           std::to_string(length_));
  }
  return {static_cast<const char*>(mapping_) + kHeaderLengthBytes, static_cast<size_t>(bytes)};
}

// Tensors must tile the data exactly: overlaps, holes and bytes beyond the last tensor are all refused.
void SafetensorsFile::readEntries() {
  const std::string_view text = headerText();
  SafetensorsHeader header;
  try {
    header = parseSafetensorsHeader(text);
  } catch (const SafetensorsHeaderError& error) {
    refuse(error.what());
  }
  const uint64_t dataBytes = length_ - kHeaderLengthBytes - text.size();
  const uint8_t* data = static_cast<const uint8_t*>(mapping_) + kHeaderLengthBytes + text.size();
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
    entries_[tensor.name] = {tensor.dtype, tensor.shape, data + tensor.begin,
                             static_cast<size_t>(tensor.end - tensor.begin)};
  }
  if (position != dataBytes) refuse(std::to_string(dataBytes - position) + " bytes follow the last tensor");
  metadata_ = std::move(header.metadata);
}

void SafetensorsFile::refuse(const std::string& reason) const {
  throw Error("ERR_CHECKPOINT", path_ + ": " + reason);
}

void SafetensorsFile::release(const SafetensorsEntry& entry) const noexcept {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(entry.data) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(entry.data + entry.bytes) / page * page;
  // This is advice only: where it fails, the pages stay until the system wants them.
  if (begin < end) static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
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
