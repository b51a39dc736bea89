#include "accuracy/arena_judging.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "accuracy/reasoning.h"
#include "accuracy/text.h"
#include "base/json.h"
#include "base/lines.h"

namespace moecap::accuracy {
namespace {

constexpr int64_t kBytesPerToken = 4;

const Json* Member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// The last message's text: {"content": {"answer": ".."}} or {"content": ".."}.
const Json* LastMessage(const Json& row) {
  const Json* messages = Member(row, "messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) return nullptr;
  const Json* content = Member(messages->back(), "content");
  return content != nullptr && content->is_object() ? Member(*content, "answer") : content;
}

Result<ArenaAnswer> ReadAnswer(const Json& row) {
  ArenaAnswer answer;
  const Json* uid = nullptr;
  for (const char* name : {"uid", "id", "question_id"}) uid = uid != nullptr ? uid : Member(row, name);
  if (uid == nullptr) return BadInput("no field 'uid' or 'id'");
  answer.uid = uid->is_string() ? uid->get<std::string>() : uid->dump();
  const Json* text = LastMessage(row);
  for (const char* name : {"prediction", "text"}) text = text != nullptr ? text : Member(row, name);
  const bool failed = Member(row, "error") != nullptr || (text == nullptr && row.contains("prediction"));
  if (!failed && text == nullptr) return BadInput("no field 'messages', 'prediction' or 'text'");
  if (!failed && !text->is_string()) return BadInput("the answer must be text");
  if (!failed) answer.text = ValidUtf8(SeparateReasoning(text->get<std::string>()).answer);
  const Json* metadata = Member(row, "metadata");
  const Json* tokens = metadata != nullptr ? Member(*metadata, "token_len") : nullptr;
  if (tokens != nullptr && tokens->is_number_integer() && *tokens > 0) answer.tokens = tokens->get<int64_t>();
  return answer;
}

Result<Judgement> ReadJudgement(const Json& row) {
  Judgement judgement;
  const auto text = [&](const char* name, std::string& value) -> Status {
    const Json* member = Member(row, name);
    if (member == nullptr || !member->is_string()) return BadInput(fmt::format("no text '{}'", name));
    value = member->get<std::string>();
    return {};
  };
  RETURN_IF_ERROR(text("uid", judgement.uid));
  RETURN_IF_ERROR(text("judge", judgement.judge));
  RETURN_IF_ERROR(text("shown", judgement.shown));
  RETURN_IF_ERROR(text("judgement", judgement.text));
  const Json* round = Member(row, "round");
  if (round == nullptr || !round->is_number_integer() || *round < 0 || *round >= kArenaRounds)
    return BadInput("'round' must be 0 or 1");
  judgement.round = round->get<int>();
  judgement.verdict = ArenaVerdict(judgement.text);
  for (const auto& [name, tokens] :
       {std::pair{"input_tokens", &judgement.input_tokens}, std::pair{"output_tokens", &judgement.output_tokens}}) {
    const Json* count = Member(row, name);
    if (count != nullptr && count->is_number_integer()) *tokens = count->get<int64_t>();
  }
  return judgement;
}

// Calls `visit(row number, object)` for each line; what stands behind the last line end is none.
template <typename Visit>
Result<size_t> ForEachWholeLine(std::string_view text, const std::string& name, bool ends_in_line_end, Visit visit) {
  size_t whole = 0;
  for (int64_t row = 1; !text.empty(); ++row) {
    if (ends_in_line_end && text.find('\n') == std::string_view::npos) break;
    const size_t before = text.size();
    const std::string_view line = TakeLine(text);
    whole += before - text.size();
    if (Strip(line).empty()) continue;
    const auto annotate = [&](const Error& error) { return Annotate(fmt::format("{}: row {}", name, row), error); };
    const Result<Json> json = ParseJson(line);
    if (!json.ok()) return annotate(json.error());
    if (!json->is_object()) return annotate(BadInput("must be a JSON object"));
    if (const Status status = visit(row, *json); !status.ok()) return annotate(status.error());
  }
  return whole;
}

int64_t EstimatedTokens(std::string_view text) {
  return std::max<int64_t>(1, (std::ssize(text) + kBytesPerToken - 1) / kBytesPerToken);
}

AnswerStyle StyleOf(const ArenaAnswer& answer, bool estimated) {
  AnswerStyle style = MarkdownStyle(answer.text.value_or(""));
  style.tokens = estimated ? EstimatedTokens(answer.text.value_or("")) : *answer.tokens;
  return style;
}

// The verdicts of the rounds as `read` finds them; of a failed answer those of a decisive loss.
template <typename Read>
std::vector<ArenaQuestion> QuestionsOf(std::span<const ArenaPair* const> pairs, std::span<const Judgement> judgements,
                                       const Read& read) {
  std::unordered_map<std::string_view, size_t> places;
  std::vector<ArenaQuestion> questions;
  for (const ArenaPair* pair : pairs) {
    places.emplace(pair->uid, questions.size());
    questions.push_back({pair->uid, {}});
    if (!pair->model.text) questions.back().verdicts = {"A>>B", "B>>A"};
  }
  for (const Judgement& judgement : judgements) {
    const auto found = places.find(judgement.uid);
    if (found == places.end() || !pairs[found->second]->model.text) continue;
    questions[found->second].verdicts[static_cast<size_t>(judgement.round)] = read(judgement.text);
  }
  return questions;
}

ArenaResult ScoreCategory(std::span<const ArenaPair* const> pairs, std::span<const Judgement> judgements,
                          const Bootstrap& bootstrap) {
  ArenaResult result;
  result.category = pairs.front()->category;
  result.questions = std::ssize(pairs);
  for (const ArenaPair* pair : pairs) {
    result.lost += pair->model.text ? 0 : 1;
    result.tokens_are_estimated = result.tokens_are_estimated || !pair->model.tokens || !pair->baseline.tokens;
  }
  const ArenaBattles battles = BattlesOf(QuestionsOf(pairs, judgements, ArenaVerdict));
  result.dropped = battles.dropped;
  result.battles = std::ssize(battles.outcomes);
  result.score = BootstrapMean(battles.outcomes, bootstrap);
  std::vector<AnswerStyle> model, baseline;
  for (const ArenaPair* pair : pairs) {
    model.push_back(StyleOf(pair->model, result.tokens_are_estimated));
    baseline.push_back(StyleOf(pair->baseline, result.tokens_are_estimated));
  }
  result.styled = StyleControlled(battles, model, baseline, bootstrap);
  if (result.score) result.moe_cap = MoeCapWinRate(QuestionsOf(pairs, judgements, MoeCapVerdict));
  return result;
}

}  // namespace

Result<std::vector<ArenaAnswer>> ParseArenaAnswers(std::string_view text, const std::string& name) {
  std::vector<ArenaAnswer> answers;
  std::unordered_set<std::string> known;
  const auto read = ForEachWholeLine(text, name, false, [&](int64_t row, const Json& json) -> Status {
    ASSIGN_OR_RETURN(ArenaAnswer answer, ReadAnswer(json));
    if (!known.insert(answer.uid).second) return BadInput(fmt::format("the answer to '{}' stands twice", answer.uid));
    answer.row = row;
    answers.push_back(std::move(answer));
    return {};
  });
  if (!read.ok()) return read.error();
  if (answers.empty()) return BadInput(name + ": no rows");
  return answers;
}

std::string JudgementLine(const Judgement& judgement) {
  return DumpJson({{"uid", judgement.uid},
                   {"round", judgement.round},
                   {"verdict", OrNull(judgement.verdict)},
                   {"judge", judgement.judge},
                   {"shown", judgement.shown},
                   {"input_tokens", judgement.input_tokens},
                   {"output_tokens", judgement.output_tokens},
                   {"judgement", judgement.text}}) +
         "\n";
}

Result<JudgementFile> ParseJudgements(std::string_view text, const std::string& name) {
  JudgementFile file;
  ASSIGN_OR_RETURN(file.whole_bytes, ForEachWholeLine(text, name, true, [&](int64_t, const Json& json) -> Status {
                     ASSIGN_OR_RETURN(Judgement judgement, ReadJudgement(json));
                     file.judgements.push_back(std::move(judgement));
                     return {};
                   }));
  return file;
}

std::vector<ArenaResult> ScoreArena(std::span<const ArenaPair> pairs, std::span<const Judgement> judgements,
                                    const Bootstrap& bootstrap) {
  std::vector<std::vector<const ArenaPair*>> categories;
  for (const ArenaPair& pair : pairs) {
    const auto found =
        std::ranges::find_if(categories, [&](const auto& members) { return members.front()->category == pair.category; });
    if (found == categories.end()) {
      categories.push_back({&pair});
    } else {
      found->push_back(&pair);
    }
  }
  std::vector<ArenaResult> results;
  for (const auto& members : categories) results.push_back(ScoreCategory(members, judgements, bootstrap));
  return results;
}

}  // namespace moecap::accuracy
