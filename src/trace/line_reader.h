// Lines of a text file of any length, through one buffer.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace moecap::trace {

class LineReader {
 public:
  // `slack`: bytes behind each line that may be read (not written), as some parsers need.
  static Result<LineReader> Open(const std::filesystem::path& path, size_t slack = 0);

  // The next line without its '\n', valid until the next call; false at the end. Error kBadInput: a line of more than 256 MiB.
  Result<bool> Next(std::string_view& line);
  // Of the line that Next gave last, from 1.
  int64_t line_number() const { return line_number_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit LineReader(std::FILE* file, size_t slack) : file_(file), slack_(slack) {}

  std::unique_ptr<std::FILE, Close> file_;
  size_t slack_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;  // what of the buffer is read but not given out
  bool at_end_ = false;
  int64_t line_number_ = 0;
};

}  // namespace moecap::trace
