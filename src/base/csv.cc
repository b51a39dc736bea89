#include "base/csv.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

void Trim(std::string& text) {
  while (!text.empty() && IsBlank(text.back())) text.pop_back();
  text.erase(0, std::min(text.find_first_not_of(" \t\r"), text.size()));
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string_view WithoutBom(std::string_view text) {
  constexpr std::string_view kBom = "\xef\xbb\xbf";
  if (text.starts_with(kBom)) text.remove_prefix(kBom.size());
  return text;
}

// Stands behind the opening quote; ends behind the closing one.
Status CsvReader::ReadQuoted(std::string& field) {
  const int64_t opened = line_;
  for (;; ++at_) {
    if (at_ == text_.size()) return BadInput(fmt::format("the quote opened in line {} is not closed", opened));
    const char c = text_[at_];
    line_ += c == '\n';
    if (c != '"') {
      field += c;
      continue;
    }
    if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
      field += '"';
      ++at_;
      continue;
    }
    ++at_;
    break;
  }
  while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
  if (at_ == text_.size() || text_[at_] == ',' || text_[at_] == '\n') return {};
  return BadInput(fmt::format("line {}: text behind the closing quote of a field", line_));
}

Result<bool> CsvReader::Next(std::vector<std::string>& fields) {
  for (;;) {
    fields.clear();
    if (at_ >= text_.size()) return false;
    record_line_ = line_;
    for (bool more = true; more;) {
      std::string& field = fields.emplace_back();
      size_t begin = at_;
      if (blanks_ == CsvBlanks::kDropped) {
        while (begin < text_.size() && (text_[begin] == ' ' || text_[begin] == '\t')) ++begin;
      }
      if (begin < text_.size() && text_[begin] == '"') {
        at_ = begin + 1;
        RETURN_IF_ERROR(ReadQuoted(field));
      } else {
        const size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
        field.assign(text_.substr(at_, end - at_));
        if (blanks_ == CsvBlanks::kDropped) {
          Trim(field);
        } else if (end < text_.size() && text_[end] == '\n' && field.ends_with('\r')) {
          field.pop_back();
        }
        at_ = end;
      }
      more = at_ < text_.size() && text_[at_] == ',';
      if (more) ++at_;
    }
    if (at_ < text_.size()) {
      ++at_;
      ++line_;
    }
    if (fields.size() > 1 || !fields[0].empty()) return true;
  }
}

int ColumnOf(const std::vector<std::string>& header, std::string_view name) {
  const auto same = [name](const std::string& field) {
    return std::ranges::equal(field, name, [](char a, char b) { return Lower(a) == Lower(b); });
  };
  const auto found = std::ranges::find_if(header, same);
  return found == header.end() ? -1 : static_cast<int>(found - header.begin());
}

}  // namespace moecap
