#include "mock/known_answers.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <optional>
#include <utility>

#include "base/fs.h"
#include "base/lines.h"
#include "mock/format.h"
#include "mock/tokenizer.h"

namespace moecap::mock {
namespace {

namespace dom = simdjson::dom;

void AppendPieces(std::string_view text, int64_t vocab, KnownText& known) {
  for (const std::string_view piece : SplitText(text)) {
    std::string quoted;
    AppendJsonString(piece, quoted);
    known.pieces.push_back(quoted.substr(1, quoted.size() - 2));
    known.ids.push_back(TokenOf(piece, vocab));
  }
}

KnownAnswer MakeAnswer(std::string_view prediction, std::string_view reasoning, int64_t vocab) {
  KnownAnswer answer;
  if (!reasoning.empty()) {
    AppendPieces(reasoning, vocab, answer.apart);
    answer.apart.reasoning = std::ssize(answer.apart.pieces);
    AppendPieces(fmt::format("<think>\n{}\n</think>\n\n", reasoning), vocab, answer.inline_);
  }
  AppendPieces(prediction, vocab, answer.apart);
  AppendPieces(prediction, vocab, answer.inline_);
  return answer;
}

// Null where the line has no such key. Error: it is something else than a text, or, with `numbers`, a whole number.
Result<std::optional<std::string>> Text(dom::object line, const char* key, bool numbers = false) {
  dom::element element;
  if (line[key].get(element) != simdjson::SUCCESS) return std::optional<std::string>();
  std::string_view text;
  if (element.get(text) == simdjson::SUCCESS) return std::optional(std::string(text));
  int64_t number = 0;
  if (numbers && element.get(number) == simdjson::SUCCESS) return std::optional(std::to_string(number));
  return BadInput(fmt::format("\"{}\" must be a text{}", key, numbers ? " or a whole number" : ""));
}

Result<std::optional<std::string>> PromptOf(dom::object line) {
  dom::array messages;
  if (line["messages"].get(messages) != simdjson::SUCCESS) return Text(line, "prompt");
  if (messages.size() == 0) return BadInput("\"messages\" is empty");
  dom::object last;
  if (messages.at(messages.size() - 1).get(last) != simdjson::SUCCESS) return BadInput("a message must be an object");
  return Text(last, "content");
}

Result<KnownAnswer> AnswerOf(dom::object line, int64_t vocab) {
  dom::element prediction;
  if (line["prediction"].get(prediction) != simdjson::SUCCESS) return BadInput("no field \"prediction\"");
  if (prediction.is_null()) {
    KnownAnswer failed;
    failed.failed = true;
    return failed;
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> text, Text(line, "prediction"));
  ASSIGN_OR_RETURN(const std::optional<std::string> reasoning, Text(line, "reasoning"));
  return MakeAnswer(*text, reasoning.value_or(""), vocab);
}

}  // namespace

Result<KnownAnswers> KnownAnswers::Parse(std::string_view text, const std::string& file, int64_t vocab) {
  KnownAnswers known;
  known.file_ = file;
  dom::parser parser;
  const auto add = [&](std::string_view line) -> Status {
    dom::object object;
    if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS) return BadInput("not a JSON object");
    ASSIGN_OR_RETURN(const std::optional<std::string> prompt, PromptOf(object));
    ASSIGN_OR_RETURN(const std::optional<std::string> id, Text(object, "id", /*numbers=*/true));
    if (!prompt && !id) return BadInput("none of \"prompt\", \"messages\" and \"id\" says what is answered");
    ASSIGN_OR_RETURN(KnownAnswer answer, AnswerOf(object, vocab));
    const size_t index = known.answers_.size();
    if (prompt && !known.by_prompt_.emplace(*prompt, index).second) return BadInput("an earlier line answers the same prompt");
    if (id && !known.by_id_.emplace(*id, index).second) return BadInput(fmt::format("id \"{}\" is in an earlier line", *id));
    known.answers_.push_back(std::move(answer));
    return {};
  };
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = TakeLine(text);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (const Status added = add(line); !added.ok()) return Annotate(fmt::format("{}:{}", file, number), added.error());
  }
  if (known.answers_.empty()) return BadInput(fmt::format("{}: no answers", file));
  return known;
}

Result<KnownAnswers> KnownAnswers::Read(const std::filesystem::path& file, int64_t vocab) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return Parse(text, file.string(), vocab);
}

const KnownAnswer* KnownAnswers::Find(std::string_view prompt, std::string_view request_id) const {
  if (const auto found = by_prompt_.find(prompt); found != by_prompt_.end()) return &answers_[found->second];
  for (std::string_view id = request_id; !id.empty();) {
    if (const auto found = by_id_.find(id); found != by_id_.end()) return &answers_[found->second];
    const size_t dash = id.find('-');
    if (dash == std::string_view::npos) break;
    id.remove_prefix(dash + 1);
  }
  return nullptr;
}

void AppendTokenTexts(const KnownText* known, std::span<const int32_t> ids, int64_t first, std::string& out) {
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto index = static_cast<size_t>(first) + i;
    if (known == nullptr) {
      AppendTokenText(ids[i], out);
    } else if (index < known->pieces.size()) {
      out += known->pieces[index];
    }
  }
}

}  // namespace moecap::mock
