// The safetensors format (8-byte little-endian header length, JSON header, raw data): a reader and a writer over
// file descriptors.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hdpo {

class FileDescriptor;

struct SafetensorsEntry {
  std::string dtype;  // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // in the file
  size_t bytes = 0;
};

// Reads the header at once and data when it is asked for. Every offset, size and dtype is checked against the
// file. Throws ERR_CHECKPOINT, naming file and tensor, or ERR_IO, with the system's reason, where the file cannot
// be opened or read. The file is not mapped: whoever shortens a mapped file ends all that read it by SIGBUS.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }
  // Reads `bytes` of the entry's data from byte `begin` on. Throws ERR_CHECKPOINT where the file has become
  // shorter since it was opened.
  void read(const SafetensorsEntry& entry, size_t begin, size_t bytes, void* to) const;

 private:
  std::string headerText() const;
  void readEntries();
  void readAll(uint64_t offset, size_t bytes, void* to) const;
  [[noreturn]] void refuse(const std::string& reason) const;

  std::string path_;
  std::unique_ptr<FileDescriptor> file_;
  uint64_t length_ = 0;
  std::map<std::string, SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

struct SafetensorsWrite {
  std::string name, dtype;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // used by writeSafetensors alone
  size_t bytes = 0;
};

// Writes a file piece by piece, so that the data never has to be in memory as a whole: the header first, then
// exactly the bytes of every tensor in the order given, in as many pieces as the caller likes. Writing is not
// atomic by itself (the trainer writes beside the file and renames). Throws ERR_IO, naming the path and the
// system's reason; what had been written by then stays behind.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, const std::vector<SafetensorsWrite>& tensors,
                    const std::map<std::string, std::string>& metadata);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  void append(const void* data, size_t bytes);
  void finish();  // flushes to the disk; throws ERR_INTERNAL where bytes are missing

 private:
  struct File;
  std::unique_ptr<File> file_;
  size_t missing_ = 0;
};

// Writes and flushes a small text file, such as a sharded model's index. Throws ERR_IO as above.
void writeTextFile(const std::string& path, const std::string& text);

// Writes a whole file in one call.
void writeSafetensors(const std::string& path, const std::vector<SafetensorsWrite>& tensors,
                      const std::map<std::string, std::string>& metadata);

}  // namespace hdpo
