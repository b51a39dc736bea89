#include "base/yaml.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/nearest_word.h"

namespace moecap {
namespace {

// Thrown and caught in this file.
struct Place {
  int line;
  std::string message;
};

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

// Our own tree, because yaml-cpp's headers would cost every file that reads a setting a second of compilation.
class Copier {
 public:
  YamlNode Copy(const YAML::Node& from, int depth) {
    if (++count_ > kMostYamlNodes) throw Place{LineOf(from), fmt::format("more than {} values", kMostYamlNodes)};
    if (depth > kMostYamlDepth) throw Place{LineOf(from), fmt::format("nests deeper than {}", kMostYamlDepth)};
    YamlNode to;
    to.line = LineOf(from);
    if (from.IsScalar()) {
      to.kind = YamlNode::Kind::kScalar;
      to.scalar = from.Scalar();
      to.quoted = from.Tag() == "!";  // as yaml-cpp marks scalars that are not plain
    } else if (from.IsSequence()) {
      to.kind = YamlNode::Kind::kList;
      for (const YAML::Node& item : from) to.items.push_back(Copy(item, depth + 1));
    } else if (from.IsMap()) {
      to.kind = YamlNode::Kind::kMap;
      std::map<std::string, int> lines;
      for (const auto& entry : from) {
        if (!entry.first.IsScalar()) throw Place{LineOf(entry.first), "a key must be text"};
        const auto [first, added] = lines.try_emplace(entry.first.Scalar(), LineOf(entry.first));
        if (!added)
          throw Place{LineOf(entry.first),
                      fmt::format("\"{}\" is given twice; line {} has it, too", first->first, first->second)};
        YamlNode value = Copy(entry.second, depth + 1);
        value.key = entry.first.Scalar();
        value.key_line = LineOf(entry.first);
        to.items.push_back(std::move(value));
      }
    }
    return to;
  }

 private:
  int count_ = 0;
};

std::string Quoted(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

// Plain where nothing else could be read from it.
std::string FormatText(const std::string& text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  const bool is_plain = !text.empty() && text.find_first_not_of(kPlain) == text.npos && text != "null" && text != "-";
  return is_plain ? text : Quoted(text);
}

std::string FormatFlow(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kNull) return "null";
  if (node.kind == YamlNode::Kind::kScalar) return node.quoted ? Quoted(node.scalar) : FormatText(node.scalar);
  const bool is_map = node.kind == YamlNode::Kind::kMap;
  std::vector<std::string> items;
  for (const YamlNode& item : node.items) items.push_back((is_map ? FormatText(item.key) + ": " : "") + FormatFlow(item));
  return fmt::format("{}{}{}", is_map ? "{" : "[", fmt::join(items, ", "), is_map ? "}" : "]");
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// Strings are quoted where YAML would read something else.
void Emit(const Json& value, YAML::Emitter& out) {
  const auto is_plain = [](const Json& item) { return !item.is_structured(); };
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      Emit(item, out);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    if (std::all_of(value.begin(), value.end(), is_plain)) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const Json& item : value) Emit(item, out);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    const auto text = value.get<std::string>();
    const bool looks_otherwise = text.empty() || ParseNumber(text) || text == "true" || text == "false" || text == "null";
    if (looks_otherwise) out << YAML::DoubleQuoted;
    out << text;
  } else {
    out << DumpJson(value);
  }
}

}  // namespace

std::string FormatYaml(const YamlNode& root) {
  if (root.kind != YamlNode::Kind::kMap) return FormatFlow(root) + "\n";
  std::string text;
  for (const YamlNode& item : root.items) text += FormatText(item.key) + ": " + FormatFlow(item) + "\n";
  return text;
}

std::string ToYaml(const Json& value) {
  YAML::Emitter out;
  Emit(value, out);
  return std::string(out.c_str()) + "\n";
}

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

namespace {

// What is wrong with a text that is no YAML, by the library's words for it, which users do not see.
std::string_view ReasonOf(const YAML::Exception& error) {
  namespace words = YAML::ErrorMsg;
  const std::pair<const char*, std::string_view> kReasons[] = {
      {words::END_OF_SEQ_FLOW, "a list that begins with '[' has no end"},
      {words::END_OF_MAP_FLOW, "a mapping that begins with '{' has no end"},
      {words::END_OF_MAP, "the line fits neither the keys above nor their indentation"},
      {words::END_OF_SEQ, "the line fits neither the list above nor its indentation"},
      {words::EOF_IN_SCALAR, "a text in quotes has no end"},
      {words::FLOW_END, "a ']' or '}' stands where nothing was begun"},
      {words::BLOCK_ENTRY, "'- ' stands where no list can begin"},
      {words::MAP_KEY, "a key stands where none can; look at the indentation"},
      {words::MAP_VALUE, "': ' stands where no value can; look at the indentation, or put a text that holds it into quotes"},
      {words::TAB_IN_INDENTATION, "a tab indents the line; use blanks"},
      {words::UNKNOWN_TOKEN, "a character that begins nothing; put the text into quotes"},
      {words::UNKNOWN_ANCHOR, "an alias (*) names no anchor (&)"},
  };
  for (const auto& [known, reason] : kReasons) {
    if (error.msg == known) return reason;
  }
  return "something stands here that fits nothing before it";
}

}  // namespace

Result<YamlNode> ParseYaml(std::string_view text, const std::string& file) {
  try {
    return Copier().Copy(YAML::Load(std::string(text)), 0);
  } catch (const Place& place) {
    return BadInput(fmt::format("{}:{}: {}", file, place.line, place.message));
  } catch (const YAML::Exception& error) {
    return BadInput(fmt::format("{}:{}: not valid YAML: {}", file, error.mark.line + 1, ReasonOf(error)));
  }
}

void YamlErrors::Add(int line, const std::string& message) {
  if (!first_) first_ = BadInput(fmt::format("{}:{}: {}", file_, line, message));
}

const Error& YamlErrors::first() const {
  CHECK(first_.has_value());
  return *first_;
}

YamlMap::YamlMap(const YamlNode& node, std::string where, YamlErrors& errors)
    : node_(node), where_(std::move(where)), errors_(errors) {
  if (node.kind != YamlNode::Kind::kMap) errors_.Add(node.line, fmt::format("{} must be a mapping of keys to values", where_));
}

const YamlNode* YamlMap::Child(std::string_view key) {
  known_.emplace(key);
  if (node_.kind != YamlNode::Kind::kMap) return nullptr;
  const auto found =
      std::find_if(node_.items.begin(), node_.items.end(), [&](const YamlNode& item) { return item.key == key; });
  return found == node_.items.end() ? nullptr : &*found;
}

const YamlNode* YamlMap::Scalar(std::string_view key, std::string_view type_name) {
  const YamlNode* value = Child(key);
  if (value == nullptr || value->kind == YamlNode::Kind::kScalar) return value;
  errors_.Add(value->line, fmt::format("\"{}\" must be {}", key, type_name));
  return nullptr;
}

std::optional<std::string> YamlMap::String(std::string_view key) {
  const YamlNode* value = Scalar(key, "text");
  return value != nullptr ? std::optional(value->scalar) : std::nullopt;
}

std::optional<double> YamlMap::Number(std::string_view key) {
  const YamlNode* value = Scalar(key, "a number");
  if (value == nullptr) return std::nullopt;
  const auto number = ParseNumber(value->scalar);
  if (!number) errors_.Add(value->line, fmt::format("\"{}\" must be a number, not \"{}\"", key, value->scalar));
  return number;
}

std::optional<int64_t> YamlMap::Integer(std::string_view key, int64_t least, int64_t most) {
  const YamlNode* value = Scalar(key, "a whole number");
  if (value == nullptr) return std::nullopt;
  const auto number = ParseInteger(value->scalar);
  if (!number) {
    errors_.Add(value->line, fmt::format("\"{}\" must be a whole number, not \"{}\"", key, value->scalar));
  } else if (*number < least || *number > most) {
    errors_.Add(value->line, fmt::format("\"{}\" is {}; it must be between {} and {}", key, *number, least, most));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> YamlMap::Boolean(std::string_view key) {
  const YamlNode* value = Scalar(key, "true or false");
  if (value == nullptr) return std::nullopt;
  if (value->scalar == "true") return true;
  if (value->scalar == "false") return false;
  errors_.Add(value->line, fmt::format("\"{}\" must be true or false, not \"{}\"", key, value->scalar));
  return std::nullopt;
}

std::vector<int64_t> YamlMap::Integers(std::string_view key, int64_t least, int64_t most) {
  const YamlNode* list = Child(key);
  if (list == nullptr) return {};
  if (list->kind != YamlNode::Kind::kList || list->items.empty()) {
    errors_.Add(list->line, fmt::format("\"{}\" must be a list of whole numbers, e.g. [1, 4, 16]", key));
    return {};
  }
  std::vector<int64_t> values;
  for (const YamlNode& item : list->items) {
    const auto number = item.kind == YamlNode::Kind::kScalar ? ParseInteger(item.scalar) : std::nullopt;
    if (!number) {
      errors_.Add(item.line, fmt::format("\"{}\" must be a list of whole numbers", key));
    } else if (*number < least || *number > most) {
      errors_.Add(item.line, fmt::format("\"{}\" is {}; it must be between {} and {}", key, *number, least, most));
    } else {
      values.push_back(*number);
    }
  }
  return values;
}

std::optional<size_t> YamlMap::Choice(std::string_view key, std::initializer_list<std::string_view> choices) {
  const YamlNode* value = Scalar(key, fmt::format("one of {}", fmt::join(choices, ", ")));
  if (value == nullptr) return std::nullopt;
  const auto found = std::find(choices.begin(), choices.end(), value->scalar);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  errors_.Add(value->line, fmt::format("\"{}\" is \"{}\"; known: {}", key, value->scalar, fmt::join(choices, ", ")));
  return std::nullopt;
}

int YamlMap::LineOf(std::string_view key) const {
  if (node_.kind != YamlNode::Kind::kMap) return node_.line;
  const auto found =
      std::find_if(node_.items.begin(), node_.items.end(), [&](const YamlNode& item) { return item.key == key; });
  return found == node_.items.end() ? node_.line : found->line;
}

void YamlMap::RefuseUnknownKeys() const {
  if (node_.kind != YamlNode::Kind::kMap) return;
  for (const YamlNode& item : node_.items) {
    if (!known_.contains(item.key)) {
      const std::string nearest = NearestWord(item.key, {known_.begin(), known_.end()});
      const std::string remedy = nearest.empty() ? fmt::format("known keys: {}", fmt::join(known_, ", "))
                                                 : fmt::format("did you mean \"{}\"?", nearest);
      errors_.Add(item.key_line, fmt::format("unknown key \"{}\" in {}; {}", item.key, where_, remedy));
    }
  }
}

}  // namespace moecap
