#include "web/http.h"

#include <algorithm>
#include <charconv>

namespace moecap::web {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

bool ActsOnFiles(std::string_view segment) {
  return segment.empty() || segment == "." || segment == ".." || segment.find('/') != std::string_view::npos ||
         std::any_of(segment.begin(), segment.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

std::string_view Head::Field(std::string_view name) const {
  const auto at = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; });
  return at == fields.end() ? std::string_view() : std::string_view(at->second);
}

size_t Head::CountOf(std::string_view name) const {
  return static_cast<size_t>(
      std::count_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; }));
}

std::string EventText(std::string_view name, std::string_view data) {
  std::string text = "event: ";
  return text.append(name).append("\ndata: ").append(data).append("\n\n");
}

std::optional<std::string> DecodePercent(std::string_view text, bool plus_is_space) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    out += c;
  }
  return out;
}

std::string EncodePercent(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::optional<std::vector<std::string>> PathSegments(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  std::vector<std::string> segments;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    auto segment = DecodePercent(path.substr(0, end));
    if (!segment || ActsOnFiles(*segment)) return std::nullopt;
    segments.push_back(*std::move(segment));
    if (end + 1 == path.size()) return std::nullopt;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return segments;
}

Query Query::Of(std::string_view target) {
  Query query;
  const size_t mark = target.find('?');
  std::string_view rest = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equal = std::min(pair.find('='), pair.size());
    auto name = DecodePercent(pair.substr(0, equal), true);
    auto value = DecodePercent(pair.substr(std::min(equal + 1, pair.size())), true);
    if (name && value && !name->empty()) query.pairs_.emplace_back(*std::move(name), *std::move(value));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return query;
}

std::string Query::Get(std::string_view name) const {
  const auto at = std::find_if(pairs_.rbegin(), pairs_.rend(), [&](const auto& pair) { return pair.first == name; });
  return at == pairs_.rend() ? "" : at->second;
}

std::vector<std::string> Query::All(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : pairs_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

bool Query::Has(std::string_view name) const {
  return std::any_of(pairs_.begin(), pairs_.end(), [&](const auto& pair) { return pair.first == name; });
}

int64_t Query::Whole(std::string_view name, int64_t low, int64_t high, int64_t otherwise) const {
  const std::string text = Get(name);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && end == text.data() + text.size() && value >= low && value <= high;
  return good ? value : otherwise;
}

void Query::Set(std::string name, std::string value) {
  std::erase_if(pairs_, [&](const auto& pair) { return pair.first == name; });
  if (!value.empty()) pairs_.emplace_back(std::move(name), std::move(value));
}

std::string Query::Text() const {
  std::string text;
  for (const auto& [name, value] : pairs_)
    text += (text.empty() ? "?" : "&") + EncodePercent(name) + "=" + EncodePercent(value);
  return text;
}

}  // namespace moecap::web
