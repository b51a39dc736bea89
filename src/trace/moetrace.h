// .moetrace files: appendable, compressed, checked. Specified byte by byte in docs/formats/moetrace.md.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "trace/trace.h"

namespace moecap::trace {

inline constexpr std::string_view kMoetraceMagic = "MOETRACE";
inline constexpr int kMoetraceVersion = 1;

namespace internal {
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, CloseFile>;
}  // namespace internal

// Whether the file begins as a .moetrace does. False also when it cannot be read.
bool LooksLikeMoetrace(const std::filesystem::path& path);

// Memory: one frame, about 1 MiB, or one pass if that is larger. Not for several threads.
class MoetraceWriter {
 public:
  // A new file; an old one of that name is replaced. Error kBadInput: the header's figures, or the file cannot be written.
  static Result<MoetraceWriter> Create(const std::filesystem::path& path, const TraceHeader& header);
  // Continues a file behind its last whole frame; what an interrupted writer left behind that is cut off. Error kBadInput also
  // when `header` describes another trace (grain, experts, top-k, layers or passes differ).
  static Result<MoetraceWriter> Append(const std::filesystem::path& path, const TraceHeader& header);

  MoetraceWriter(MoetraceWriter&&) = default;
  MoetraceWriter& operator=(MoetraceWriter&&) = delete;

  // Error kBadInput: the pass does not fit the header; kFailed: the disk refuses.
  Status Write(const TracePass& pass);
  // Writes the last frame and hands everything to the operating system. Without it the passes since the last frame are lost.
  Status Close();

 private:
  MoetraceWriter(internal::FilePtr file, std::string name, TraceHeader header);
  Status FlushFrame();

  internal::FilePtr file_;
  std::string name_;
  TraceHeader header_;
  std::string raw_;
  uint32_t raw_passes_ = 0;
};

// Reads a file of any length in the memory of one frame. A cut-off last frame ends the trace with a warning; a frame whose
// checksum is wrong, or that lies about its contents, is an error that names its place.
class MoetraceReader final : public TraceSource {
 public:
  static Result<std::unique_ptr<MoetraceReader>> Open(const std::filesystem::path& path);

  const TraceHeader& header() const override { return header_; }
  Result<bool> Next(TracePass& pass) override;
  std::vector<std::string> Warnings() const override { return warnings_; }

  // Where the frames that were read so far end, in bytes from the start of the file.
  uint64_t end_of_frames() const { return at_; }

 private:
  MoetraceReader() = default;
  Result<bool> NextFrame(uint8_t wanted_type);
  Status Unpack(std::span<const std::byte> head, std::string_view payload, uint32_t raw_bytes);
  bool CutOff(const char* where);

  internal::FilePtr file_;
  std::string name_;
  uint64_t file_bytes_ = 0;
  uint64_t at_ = 0;
  TraceHeader header_;
  std::string stored_, raw_;
  size_t raw_at_ = 0;
  uint32_t passes_left_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace moecap::trace
