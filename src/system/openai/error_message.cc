#include "system/openai/error_message.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace moecap::openai {
namespace {

constexpr size_t kMostShown = 300;
constexpr int kMostLevels = 4;
constexpr size_t kMostListed = 3;

// The members that hold a message or an object with one, the most telling first.
constexpr const char* kMembers[] = {"error", "detail", "message", "msg", "errors", "error_message", "error_msg", "details"};

std::optional<std::string> Find(const Json& value, int levels);

// ["body", "prompt"] of a validation error: "body.prompt".
std::string PlaceOf(const Json& entry) {
  const auto loc = entry.find("loc");
  if (loc == entry.end() || !loc->is_array()) return "";
  std::string place;
  for (const Json& part : *loc)
    place += fmt::format("{}{}", place.empty() ? "" : ".", part.is_string() ? part.get<std::string>() : DumpJson(part));
  return place;
}

std::optional<std::string> FindInList(const Json& list, int levels) {
  std::string joined;
  size_t found = 0;
  for (const Json& entry : list) {
    const auto message = Find(entry, levels);
    if (!message) continue;
    const std::string place = entry.is_object() ? PlaceOf(entry) : "";
    joined += fmt::format("{}{}{}{}", joined.empty() ? "" : "; ", place, place.empty() ? "" : ": ", *message);
    if (++found == kMostListed) break;
  }
  return found > 0 ? std::optional(joined) : std::nullopt;
}

// A text that is not empty, or the one in an object or list.
std::optional<std::string> Find(const Json& value, int levels) {
  if (value.is_string())
    return value.get_ref<const std::string&>().empty() ? std::nullopt : std::optional(value.get<std::string>());
  if (levels == 0) return std::nullopt;
  if (value.is_array()) return FindInList(value, levels - 1);
  if (!value.is_object()) return std::nullopt;
  for (const char* member : kMembers) {
    const auto found = value.find(member);
    if (found == value.end()) continue;
    if (auto message = Find(*found, levels - 1)) return message;
  }
  return std::nullopt;
}

// The data of the first event, when the text is server-sent events.
std::string_view FirstEvent(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.starts_with("data:")) return line.substr(5);
    at = end + 1;
  }
  return text;
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kMostShown)) line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  if (text.size() > kMostShown) line += "...";
  return line;
}

std::optional<std::string> MessageIn(std::string_view json) {
  const auto parsed = ParseJson(json);
  if (!parsed.ok() || parsed->is_string()) return std::nullopt;
  return Find(*parsed, kMostLevels);
}

std::string ErrorMessage(std::string_view body) {
  const bool events = body.starts_with("data:") || body.starts_with("event:");
  const std::string_view content = events ? FirstEvent(body) : body;
  const auto parsed = ParseJson(content);
  const std::optional<std::string> message = parsed.ok() ? Find(*parsed, kMostLevels) : std::nullopt;
  std::string line = OneLine(message ? std::string_view(*message) : content);
  if (const size_t begin = line.find_first_not_of(' '); begin != std::string::npos) line.erase(0, begin);
  while (line.ends_with(' ') || (line.ends_with('.') && !line.ends_with("..."))) line.pop_back();
  return line;
}

}  // namespace moecap::openai
