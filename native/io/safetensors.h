// The safetensors format (8-byte little-endian header length, JSON header, raw data): reader over mmap,
// writer to a file descriptor.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hdpo {

struct SafetensorsEntry {
  std::string dtype;  // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;  // any alignment: other writers need not pad their header
  size_t bytes = 0;
};

// Maps the file for its lifetime. Every offset, size and dtype is checked against the file: ERR_CHECKPOINT
// names file and tensor; ERR_IO (with the system's reason) where it cannot be opened or mapped. A file that
// another process shortens while it is mapped raises SIGBUS, as with every mapping: checkpoints are renamed
// into place and never rewritten.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void map();
  void unmap() noexcept;
  std::string_view headerText() const;
  void readEntries();
  [[noreturn]] void refuse(const std::string& reason) const;

  std::string path_;
  void* mapping_ = nullptr;
  size_t length_ = 0;
  std::map<std::string, SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

struct SafetensorsWrite {
  std::string name, dtype;
  std::vector<int64_t> shape;
  const void* data = nullptr;
  size_t bytes = 0;
};

// Writes and fsyncs; not atomic by itself (the trainer writes beside and renames). ERR_IO names the path and
// the system's reason; what had been written by then stays behind.
void writeSafetensors(const std::string& path, const std::vector<SafetensorsWrite>& tensors,
                      const std::map<std::string, std::string>& metadata);

}  // namespace hdpo
