// CSV as RFC 4180 has it: fields may stand in quotes, with commas, line breaks and doubled quotes inside; lines end in CRLF or
// LF; a byte order mark in front is no part of the first field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap {

// `text` without the UTF-8 byte order mark in front, if there is one.
std::string_view WithoutBom(std::string_view text);

// Of an unquoted field: dropped as people expect it of tables, or kept as RFC 4180 has it. Where they are kept, a quote counts
// only as the first byte of a field.
enum class CsvBlanks : uint8_t { kDropped, kKept };

class CsvReader {
 public:
  // `text` must outlive the reader.
  explicit CsvReader(std::string_view text, CsvBlanks blanks = CsvBlanks::kDropped)
      : text_(WithoutBom(text)), blanks_(blanks) {}

  // The next record that is not an empty line; false at the end. Error kBadInput: a quote that is not closed, or text behind a
  // closed one.
  Result<bool> Next(std::vector<std::string>& fields);
  // Where the record that Next gave last begins, from 1.
  int64_t line_number() const { return record_line_; }

 private:
  Status ReadQuoted(std::string& field);

  std::string_view text_;
  CsvBlanks blanks_;
  size_t at_ = 0;
  int64_t line_ = 1, record_line_ = 0;
};

// Where `name` stands in the header, whatever its case; -1 = nowhere.
int ColumnOf(const std::vector<std::string>& header, std::string_view name);

}  // namespace moecap
