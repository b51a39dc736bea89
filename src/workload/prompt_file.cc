#include "workload/prompt_file.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "base/fs.h"
#include "workload/dataset.h"
#include "workload/workload_config.h"

namespace moecap::workload {
namespace {

namespace dom = simdjson::dom;

constexpr const char* kFormats =
    "each entry must be {\"conversations\": [...]} (ShareGPT), {\"prompt\": ...} or {\"question\": ..., \"answer\": ...}";

Result<std::vector<std::string>> UserMessages(const dom::element& conversations) {
  dom::array turns;
  if (conversations.get(turns) != simdjson::SUCCESS) return BadInput("\"conversations\" must be a list of turns");
  std::vector<std::string> messages;
  for (const dom::element turn : turns) {
    std::string_view from, value;
    if (turn["from"].get(from) != simdjson::SUCCESS || turn["value"].get(value) != simdjson::SUCCESS)
      return BadInput("a turn of \"conversations\" must have the texts \"from\" and \"value\"");
    if ((from == "human" || from == "user") && !value.empty()) messages.emplace_back(value);
  }
  return messages;
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
  dom::element id;
  std::string_view text;
  if (entry["id"].get(id) != simdjson::SUCCESS || id.is_null()) return std::to_string(number);
  if (id.get(text) == simdjson::SUCCESS) return std::string(text);
  return simdjson::to_string(id);
}

// Adds the entry to the file.
class Collector {
 public:
  Status Add(const dom::element& entry, size_t number) {
    if (!entry.is_object()) return BadInput("the entry is not a JSON object");
    PromptEntry prompt;
    dom::element field;
    if (entry["conversations"].get(field) == simdjson::SUCCESS) {
      ASSIGN_OR_RETURN(prompt.messages, UserMessages(field));
      if (prompt.messages.empty()) {
        ++file_.skipped;
        return {};
      }
    } else if (entry["prompt"].get(field) == simdjson::SUCCESS) {
      std::string_view text;
      if (field.get(text) != simdjson::SUCCESS || text.empty()) return BadInput("\"prompt\" must be a text that is not empty");
      prompt.messages.emplace_back(text);
      ASSIGN_OR_RETURN(prompt.output_tokens, OutputTokens(entry));
    } else {
      return BadInput(kFormats);
    }
    prompt.id = IdOf(entry, number);
    // ShareGPT repeats ids where a long conversation was cut into several.
    while (!ids_.insert(prompt.id).second) prompt.id += fmt::format("#{}", number);
    file_.entries.push_back(std::move(prompt));
    return {};
  }

  Result<PromptFile> Finish(const std::filesystem::path& path) && {
    if (!file_.entries.empty()) return std::move(file_);
    return BadInput(fmt::format("{}: no prompt is in it; {}", path.string(), kFormats));
  }

 private:
  PromptFile file_;
  std::unordered_set<std::string> ids_;
};

Result<PromptFile> ReadArray(const std::string& text, const std::filesystem::path& path) {
  dom::parser parser;
  dom::array entries;
  if (const auto error = parser.parse(text).get(entries); error != simdjson::SUCCESS)
    return BadInput(fmt::format("{}: not valid JSON: {}", path.string(), simdjson::error_message(error)));
  Collector collector;
  size_t number = 0;
  for (const dom::element entry : entries) {
    if (const Status added = collector.Add(entry, ++number); !added.ok())
      return Annotate(fmt::format("{}: entry {}", path.string(), number), added.error());
  }
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
      return BadInput(fmt::format("{}: not valid JSON: {}", where, simdjson::error_message(error)));
    if (const Status added = collector.Add(entry, number + 1); !added.ok()) return Annotate(where, added.error());
  }
  return std::move(collector).Finish(path);
}

Result<PromptFile> ReadProblemFile(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(std::vector<Problem> problems, ReadProblems(path));
  PromptFile file;
  for (Problem& problem : problems) {
    if (problem.question.empty()) return BadInput(fmt::format("{}: the question of {} is empty", path.string(), problem.id));
    PromptEntry entry;
    entry.id = std::move(problem.id);
    entry.messages.push_back(std::move(problem.question));
    file.entries.push_back(std::move(entry));
  }
  return file;
}

// Whether the first line is an object with "question" and no "prompt".
bool HoldsProblems(std::string_view first_line) {
  dom::parser parser;
  dom::element entry, field;
  return parser.parse(first_line.data(), first_line.size()).get(entry) == simdjson::SUCCESS &&
         entry["question"].get(field) == simdjson::SUCCESS && entry["prompt"].get(field) != simdjson::SUCCESS;
}

}  // namespace

Result<PromptFile> ReadPromptFile(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return BadInput(fmt::format("{}: the file is empty; {}", path.string(), kFormats));
  if (text[begin] == '[') return ReadArray(text, path);
  if (HoldsProblems(std::string_view(text).substr(begin, text.find('\n', begin) - begin))) return ReadProblemFile(path);
  return ReadEachLine(text, path);
}

}  // namespace moecap::workload
