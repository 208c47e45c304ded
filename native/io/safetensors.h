// The safetensors format (8-byte little-endian header length, JSON header, raw data): reader over mmap, writer to a file descriptor.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hdpo {

struct SafetensorsEntry {
  std::string dtype;           // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

// Maps the file for its lifetime. Every offset, size and dtype is checked against the file: ERR_CHECKPOINT names file and tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
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

// Writes and fsyncs; not atomic by itself (the trainer writes beside and renames). ERR_IO names the path and the system's reason.
void writeSafetensors(const std::string& path, const std::vector<SafetensorsWrite>& tensors,
                      const std::map<std::string, std::string>& metadata);

}  // namespace hdpo
