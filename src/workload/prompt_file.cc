#include "workload/prompt_file.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <unordered_set>

#include "base/fs.h"
#include "workload/workload_config.h"

namespace moecap::workload {
namespace {

namespace dom = simdjson::dom;

constexpr const char* kFormats =
    "each entry must have one of \"messages\" or \"conversations\" (turns with role and content, or from and value), "
    "\"turns\", "
    "\"prompt\", \"question\", \"instruction\" (and \"input\"), \"text\"";

// A text, or a list of parts of which those with a text count. Null = neither.
std::optional<std::string> TextOf(const dom::element& content) {
  std::string_view text;
  if (content.get(text) == simdjson::SUCCESS) return std::string(text);
  dom::array parts;
  if (content.get(parts) != simdjson::SUCCESS) return std::nullopt;
  std::string joined;
  for (const dom::element part : parts) {
    if (part.get(text) == simdjson::SUCCESS || part["text"].get(text) == simdjson::SUCCESS) joined += text;
  }
  return joined;
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

// What is said in turns: of the user, and behind each of it the answer that was recorded.
Status AddTurns(const dom::element& turns, const std::string& key, PromptEntry& prompt) {
  dom::array list;
  if (turns.get(list) != simdjson::SUCCESS) return BadInput(fmt::format("\"{}\" must be a list of turns", key));
  for (const dom::element turn : list) {
    std::string_view plain;
    if (turn.get(plain) == simdjson::SUCCESS) {  // MT-Bench: what the user says, turn by turn
      if (!plain.empty()) prompt.turns.push_back({std::string(plain), ""});
      continue;
    }
    std::string_view role;
    dom::element content;
    const bool spoken = turn["role"].get(role) == simdjson::SUCCESS || turn["from"].get(role) == simdjson::SUCCESS;
    const bool said = turn["content"].get(content) == simdjson::SUCCESS || turn["value"].get(content) == simdjson::SUCCESS;
    if (!spoken || !said)
      return BadInput(
          fmt::format("a turn of \"{}\" must have the texts \"role\" and \"content\", or \"from\" and \"value\"", key));
    if (content.is_null()) continue;  // a call of a tool
    const auto text = TextOf(content);
    if (!text) return BadInput(fmt::format("the content of a turn of \"{}\" must be a text or a list of parts", key));
    if (text->empty()) continue;
    if (IsOneOf(role, {"human", "user"})) prompt.turns.push_back({*text, ""});
    const bool answers = IsOneOf(role, {"gpt", "assistant", "chatgpt", "bing", "bard", "model"});
    if (answers && !prompt.turns.empty()) prompt.turns.back().answer += *text;
  }
  return {};
}

// A text that is not empty.
Result<std::string> Text(const dom::element& field, const std::string& key) {
  std::string_view text;
  if (field.get(text) != simdjson::SUCCESS || text.empty())
    return BadInput(fmt::format("\"{}\" must be a text that is not empty", key));
  return std::string(text);
}

// One turn: what stands under `key`, and the answer under one of the keys that data sets use for it.
Status AddPrompt(const dom::element& entry, const std::string& key, PromptEntry& prompt) {
  dom::element field;
  if (entry[key].get(field) != simdjson::SUCCESS) return BadInput(kFormats);
  if (field.is_array()) return AddTurns(field, key, prompt);
  ASSIGN_OR_RETURN(std::string text, Text(field, key));
  std::string_view input;
  if (key == "instruction" && entry["input"].get(input) == simdjson::SUCCESS && !input.empty())
    text += fmt::format("\n\n{}", input);
  PromptTurn turn{std::move(text), ""};
  std::string_view answer;
  for (const char* answer_key : {"output", "completion", "response"}) {
    if (turn.answer.empty() && entry[answer_key].get(answer) == simdjson::SUCCESS) turn.answer = answer;
  }
  prompt.turns.push_back(std::move(turn));
  return {};
}

Result<std::optional<int64_t>> OutputTokens(const dom::element& entry) {
  dom::element field;
  if (entry["output_tokens"].get(field) != simdjson::SUCCESS || field.is_null()) return std::optional<int64_t>();
  int64_t tokens = 0;
  if (field.get(tokens) != simdjson::SUCCESS || tokens < 1 || tokens > kMostLength)
    return BadInput(fmt::format("\"output_tokens\" must be a whole number from 1 to {}", kMostLength));
  return std::optional(tokens);
}

std::string IdOf(const dom::element& entry, size_t number) {
  for (const char* key : {"id", "question_id", "conversation_id"}) {
    dom::element id;
    std::string_view text;
    if (entry[key].get(id) != simdjson::SUCCESS || id.is_null()) continue;
    if (id.get(text) == simdjson::SUCCESS) return std::string(text);
    return simdjson::to_string(id);
  }
  return std::to_string(number);
}

// Adds the entry to the file.
class Collector {
 public:
  Status Add(const dom::element& entry, size_t number) {
    if (!entry.is_object()) return BadInput("the entry is not a JSON object");
    PromptEntry prompt;
    dom::element field;
    ASSIGN_OR_RETURN(prompt.output_tokens, OutputTokens(entry));
    for (const char* key : {"conversations", "messages", "turns"}) {
      if (entry[key].get(field) != simdjson::SUCCESS) continue;
      RETURN_IF_ERROR(AddTurns(field, key, prompt));
      return Keep(std::move(prompt), entry, number);
    }
    for (const char* key : {"prompt", "question", "instruction", "text"}) {
      if (entry[key].get(field) != simdjson::SUCCESS) continue;
      RETURN_IF_ERROR(AddPrompt(entry, key, prompt));
      return Keep(std::move(prompt), entry, number);
    }
    return BadInput(kFormats);
  }

  Result<PromptFile> Finish(const std::filesystem::path& path) && {
    if (!file_.entries.empty()) return std::move(file_);
    return BadInput(fmt::format("{}: no prompt is in it; {}", path.string(), kFormats));
  }

 private:
  Status Keep(PromptEntry prompt, const dom::element& entry, size_t number) {
    if (prompt.turns.empty()) {
      ++file_.skipped;
      return {};
    }
    prompt.id = IdOf(entry, number);
    // ShareGPT repeats ids where a long conversation was cut into several.
    while (!ids_.insert(prompt.id).second) prompt.id += fmt::format("#{}", number);
    file_.entries.push_back(std::move(prompt));
    return {};
  }

  PromptFile file_;
  std::unordered_set<std::string> ids_;
};

Result<PromptFile> ReadEntries(const dom::array& entries, const std::filesystem::path& path) {
  Collector collector;
  size_t number = 0;
  for (const dom::element entry : entries) {
    if (const Status added = collector.Add(entry, ++number); !added.ok())
      return Annotate(fmt::format("{}: entry {}", path.string(), number), added.error());
  }
  return std::move(collector).Finish(path);
}

Result<PromptFile> ReadArray(const std::string& text, const std::filesystem::path& path) {
  dom::parser parser;
  dom::array entries;
  if (const auto error = parser.parse(text).get(entries); error != simdjson::SUCCESS)
    return BadInput(fmt::format("{}: not valid JSON", path.string()));
  return ReadEntries(entries, path);
}

// One JSON object over several lines: a list of entries under a name, or the only entry. Null = it is something else.
std::optional<Result<PromptFile>> ReadObject(const std::string& text, const std::filesystem::path& path) {
  dom::parser parser;
  dom::element object;
  if (parser.parse(text).get(object) != simdjson::SUCCESS) return std::nullopt;
  dom::array entries;
  for (const char* key : {"data", "rows", "examples", "prompts"}) {
    if (object[key].get(entries) == simdjson::SUCCESS) return ReadEntries(entries, path);
  }
  Collector collector;
  if (const Status added = collector.Add(object, 1); !added.ok()) return Annotate(path.string(), added.error());
  return std::move(collector).Finish(path);
}

Result<PromptFile> ReadEachLine(const std::string& text, const std::filesystem::path& path) {
  dom::parser parser;
  Collector collector;
  size_t number = 0;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path.string(), number + 1);
    dom::element entry;
    if (const auto error = parser.parse(line.data(), line.size()).get(entry); error != simdjson::SUCCESS)
      return BadInput(fmt::format("{}: not valid JSON", where));
    if (const Status added = collector.Add(entry, number + 1); !added.ok()) return Annotate(where, added.error());
  }
  return std::move(collector).Finish(path);
}

}  // namespace

Result<PromptFile> ReadPromptFile(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return BadInput(fmt::format("{}: the file is empty; {}", path.string(), kFormats));
  if (text[begin] == '[') return ReadArray(text, path);
  if (auto file = ReadObject(text, path)) return std::move(*file);
  return ReadEachLine(text, path);
}

}  // namespace moecap::workload
