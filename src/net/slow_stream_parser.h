// The stream parser's oracle for tests and fuzzing: the whole stream at once, line by line, as the specification words it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/stream_parser.h"

namespace moecap::net {

struct SlowEvent {
  std::string data;
  std::string type;
  bool operator==(const SlowEvent&) const = default;
};

inline std::vector<SlowEvent> SlowParseNdjson(std::string_view text) {
  std::vector<SlowEvent> events;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    std::string line(text.substr(begin, end - begin));
    if (begin == 0 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t\r") != std::string::npos) events.push_back({line, ""});
  }
  return events;
}

// Whether brackets outside of strings open at the first character, which is a brace, and close at the last one.
inline bool IsOneObject(const std::string& text) {
  std::string bare;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
      bare += 's';
    } else if (!in_string && text[i] != ' ' && text[i] != '\t' && text[i] != '\n') {
      bare += text[i];
    }
  }
  if (in_string || !bare.starts_with('{')) return false;
  int depth = 0;
  for (size_t i = 0; i < bare.size(); ++i) {
    if (bare[i] == '{' || bare[i] == '[') ++depth;
    if (bare[i] == '}' || bare[i] == ']') --depth;
    if (depth == 0) return i + 1 == bare.size();
  }
  return false;
}

inline std::vector<SlowEvent> SlowParse(std::string_view text, StreamFormat format) {
  if (format == StreamFormat::kNdjson) return SlowParseNdjson(text);
  std::string normal;  // every line end as LF
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    normal += text[i] == '\r' ? '\n' : text[i];
  }
  std::vector<SlowEvent> events;
  std::string data_buffer, type_buffer;
  for (size_t begin = 0, end; (end = normal.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = normal.substr(begin, end - begin);
    if (line.empty()) {
      if (!data_buffer.empty()) {
        data_buffer.pop_back();
        events.push_back({data_buffer, type_buffer});
      }
      data_buffer.clear();
      type_buffer.clear();
      continue;
    }
    if (line[0] == ':') continue;
    const size_t colon = line.find(':');
    const std::string field = line.substr(0, colon);
    std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.erase(0, 1);
    if (field == "event") type_buffer = value;
    if (field != "data") continue;
    data_buffer += value + "\n";
    if (IsOneObject(data_buffer)) {
      data_buffer.pop_back();
      events.push_back({data_buffer, type_buffer});
      data_buffer.clear();
      type_buffer.clear();
    }
  }
  return events;
}

}  // namespace moecap::net
