// Many reads of one file in flight from one thread (Linux AIO). Internal to hardware/probe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace moecap::hardware {

class AsyncReads {
 public:
  // Null where the kernel refuses (no such calls, or its limit of contexts is reached).
  static std::optional<AsyncReads> Create(unsigned depth);
  AsyncReads(AsyncReads&& other) noexcept;
  AsyncReads& operator=(AsyncReads&&) = delete;
  ~AsyncReads();

  // Reads `count` pieces of `bytes` bytes, up to `depth` at a time, into `memory` (depth x bytes, aligned as direct I/O needs).
  // `next` gives the offset of each; `arrived` is called with the data and the offset. Returns 0, or the errno of the first
  // failure; a piece that comes back short is ENODATA. No read is in flight afterwards.
  int Run(int fd, char* memory, size_t bytes, int count, const std::function<uint64_t()>& next,
          const std::function<void(const char*, uint64_t)>& arrived);

 private:
  AsyncReads(unsigned long context, unsigned depth) : context_(context), depth_(depth) {}

  unsigned long context_;  // 0 = moved away
  unsigned depth_;
};

}  // namespace moecap::hardware
