#include "trace/line_reader.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace moecap::trace {
namespace {

constexpr size_t kFirstBuffer = size_t{1} << 20;
constexpr size_t kMostLine = size_t{1} << 28;

}  // namespace

Result<LineReader> LineReader::Open(const std::filesystem::path& path, size_t slack) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return BadInput(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
  std::setvbuf(file, nullptr, _IONBF, 0);  // we read in large pieces ourselves
  LineReader reader(file, slack);
  reader.buffer_.resize(kFirstBuffer + slack);
  return reader;
}

Result<bool> LineReader::Next(std::string_view& line) {
  for (size_t searched = 0;;) {
    const char* start = buffer_.data() + begin_;
    const auto* newline = static_cast<const char*>(std::memchr(start + searched, '\n', end_ - begin_ - searched));
    if (newline != nullptr || (at_end_ && begin_ != end_)) {
      const size_t length = newline != nullptr ? static_cast<size_t>(newline - start) : end_ - begin_;
      line = {start, length};
      begin_ += length + (newline != nullptr ? 1 : 0);
      ++line_number_;
      return true;
    }
    if (at_end_) return false;
    searched = end_ - begin_;
    if (searched > kMostLine) return BadInput(fmt::format("line {} is longer than {} bytes", line_number_ + 1, kMostLine));
    std::memmove(buffer_.data(), start, searched);
    begin_ = 0;
    end_ = searched;
    if (end_ + slack_ >= buffer_.size() / 2) buffer_.resize(buffer_.size() * 2);
    const size_t got = std::fread(buffer_.data() + end_, 1, buffer_.size() - slack_ - end_, file_.get());
    if (got == 0) {
      if (std::ferror(file_.get()) != 0) return BadInput(fmt::format("reading failed: {}", std::strerror(errno)));
      at_end_ = true;
    }
    end_ += got;
  }
}

}  // namespace moecap::trace
