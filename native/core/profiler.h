// Where the time goes: every backend op opens a Scope. The profiler is off by default and then costs one
// branch. It is used by the engine thread alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace hdpo {

class Profiler {
 public:
  struct Entry {
    uint64_t calls = 0;
    double seconds = 0;
    double flops = 0;  // multiply-adds counted as two
  };

  void enable(bool on) { enabled_ = on; }
  bool enabled() const { return enabled_; }
  void reset() { entries_.clear(); }
  const std::map<std::string, Entry>& entries() const { return entries_; }

  class Scope {
   public:
    Scope(Profiler& profiler, const char* name, double flops = 0)
        : profiler_(profiler.enabled_ ? &profiler : nullptr), name_(name), flops_(flops) {
      if (profiler_) start_ = std::chrono::steady_clock::now();
    }
    ~Scope() {
      if (!profiler_) return;
      Entry& entry = profiler_->entries_[name_];
      entry.calls += 1;
      entry.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
      entry.flops += flops_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Profiler* profiler_;
    const char* name_;
    double flops_;
    std::chrono::steady_clock::time_point start_;
  };

 private:
  bool enabled_ = false;
  std::map<std::string, Entry> entries_;
};

}  // namespace hdpo
