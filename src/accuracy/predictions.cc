#include "accuracy/predictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "accuracy/text.h"
#include "base/lines.h"
#include "base/python_json.h"

namespace moecap::accuracy {
namespace {

constexpr const char* kPlain = "plain JSONL";
constexpr const char* kHarness = "lm-eval samples";
constexpr const char* kUpstream = "MoE-CAP output_data";
constexpr std::initializer_list<const char*> kIds{"id", "task_id", "key", "_id"};

std::string Where(const std::string& name, int64_t row) { return fmt::format("{}: row {}", name, row); }

// The first of `keys` that is there and not null.
const Json* Field(const Json& row, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = row.find(key);
    if (found != row.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

std::string TextOf(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::vector<std::string> ChoicesOf(const Json& row) {
  std::vector<std::string> choices;
  const Json* doc = Field(row, {"doc"});
  for (const Json* holder : {&row, doc}) {
    const Json* list = holder != nullptr && holder->is_object() ? Field(*holder, {"choices", "options"}) : nullptr;
    if (list == nullptr || !list->is_array() || !choices.empty()) continue;
    for (const Json& choice : *list) choices.push_back(TextOf(choice));
  }
  return choices;
}

Status AddGolds(const Task& task, const Json& value, std::vector<std::string>& golds) {
  if (value.is_array()) {
    for (const Json& one : value) RETURN_IF_ERROR(AddGolds(task, one, golds));
    return {};
  }
  if (!value.is_string() && !value.is_number()) return BadInput("the gold answer must be text or a number");
  const bool is_index =
      task.gold == GoldForm::kLetter && value.is_number_unsigned() && value.get<uint64_t>() < task.letters.size();
  golds.push_back(is_index ? std::string(task.letters.substr(value.get<size_t>(), 1)) : TextOf(value));
  return {};
}

// The task's facts and what they are shown apart by, as far as the row or its doc has them.
Json FactsOf(const Task& task, const Json& row) {
  Json facts = Json::object();
  const Json* doc = Field(row, {"doc"});
  for (const std::string_view names : {task.facts, task.breakdown}) {
    for (const std::string_view name : WordsOf(names)) {
      const std::string key(name);
      const Json* value = Field(row, {key.c_str()});
      if (value == nullptr && doc != nullptr && doc->is_object()) value = Field(*doc, {key.c_str()});
      if (value != nullptr) facts[key] = *value;
    }
  }
  return facts;
}

// "qasper" of "pred/qasper.jsonl": which part of a benchmark a file is named after.
std::string StemOf(std::string_view name) {
  name.remove_prefix(name.find_last_of('/') + 1);
  return std::string(name.substr(0, name.find('.')));
}

// Null: the row does not say what is right.
Result<std::optional<Reference>> ReferenceOfRow(const Task& task, const Json& row, const std::string& name,
                                                bool with_solution) {
  RawReference raw;
  raw.choices = ChoicesOf(row);
  raw.part = StemOf(name);
  const Json facts = FactsOf(task, row);
  const bool several = task.gold == GoldForm::kTexts;
  const Json *doc = Field(row, {"doc"}), *gold = several ? Field(row, {"answers", "outputs"}) : nullptr;
  if (gold == nullptr && several && doc != nullptr && doc->is_object()) gold = Field(*doc, {"answers", "outputs"});
  if (gold == nullptr) gold = Field(row, {"gold", "target", "answer"});
  if (gold == nullptr && with_solution) gold = Field(row, {"Answer", "solution"});
  const auto has = [&](std::string_view fact) { return facts.contains(std::string(fact)); };
  const bool is_whole = task.gold == GoldForm::kNone ? std::ranges::all_of(WordsOf(task.facts), has) : gold != nullptr;
  if (!is_whole) return std::optional<Reference>();
  if (gold != nullptr && task.gold != GoldForm::kNone) RETURN_IF_ERROR(AddGolds(task, *gold, raw.golds));
  if (!facts.empty()) raw.facts = DumpJson(facts);
  ASSIGN_OR_RETURN(Reference reference, ReadReference(task, std::move(raw)));
  return std::optional(std::move(reference));
}

// A score that an lm-eval row has itself: a number, true or false, or a list of these.
std::optional<double> RecordedScore(const Json& row, const std::string& metric) {
  const Json* value = Field(row, {metric.c_str()});
  if (value == nullptr) return std::nullopt;
  const Json list = value->is_array() ? *value : Json::array({*value});
  double sum = 0;
  for (const Json& one : list) {
    if (!one.is_number() && !one.is_boolean()) return std::nullopt;
    sum += one.is_boolean() ? (one.get<bool>() ? 1 : 0) : one.get<double>();
  }
  return list.empty() ? std::nullopt : std::optional(sum / static_cast<double>(list.size()));
}

// Calls `visit(row number, object)` for each line that is not blank.
template <typename Visit>
Status ForEachRow(std::string_view text, const std::string& name, Visit visit) {
  int64_t row = 0, rows = 0;
  while (!text.empty()) {
    ++row;
    const std::string_view line = TakeLine(text);
    if (Strip(line).empty()) continue;
    const Result<Json> json = ParsePythonJson(line);
    if (!json.ok()) return Annotate(Where(name, row), json.error());
    if (!json->is_object()) return BadInput(Where(name, row) + ": must be a JSON object");
    if (const Status status = visit(row, *json); !status.ok()) return Annotate(Where(name, row), status.error());
    ++rows;
  }
  if (rows == 0) return BadInput(name + ": no rows");
  return {};
}

class Reader {
 public:
  Reader(const std::string& name, const Task& task, const Golds* golds) : name_(name), task_(task), golds_(golds) {}

  Status Add(int64_t row, const Json& json) {
    const char* form = json.contains("resps") ? kHarness : json.contains("output_tokens") ? kUpstream : kPlain;
    if (read_.form.empty()) read_.form = form;
    if (read_.form != form)
      return BadInput(fmt::format("a row of the form '{}' among rows of the form '{}'", form, read_.form));
    Item item;
    item.row = row;
    RETURN_IF_ERROR(form == kHarness    ? ReadHarness(json, item)
                    : form == kUpstream ? ReadUpstream(json, item)
                                        : ReadPlain(json, item));
    if (const auto known = by_id_.find(item.id); known != by_id_.end()) return Merge(read_.items[known->second], item);
    RETURN_IF_ERROR(ReadReferenceOf(json, item));
    if (task_.reads_choices && item.reference.choices.empty())
      return BadInput("no choices; the task's filter reads them from 'choices', a list of texts");
    for (const std::string& prediction : item.predictions) {
      if (Strip(prediction).empty()) Warn(row, "the reply is empty (counts as no answer)");
    }
    by_id_.emplace(item.id, read_.items.size());
    read_.items.push_back(std::move(item));
    return {};
  }

  Predictions Take() && {
    if (warnings_ > kMostWarnings)
      read_.warnings.push_back(fmt::format("{}: {} more like these", name_, warnings_ - kMostWarnings));
    return std::move(read_);
  }

 private:
  Status ReadPlain(const Json& json, Item& item) {
    const Json* id = Field(json, kIds);
    item.id = id != nullptr ? TextOf(*id) : std::to_string(item.row);
    const Json* success = Field(json, {"success"});
    const bool failed = Field(json, {"error"}) != nullptr || (success != nullptr && *success == false);
    const Json* prediction = Field(json, {"prediction", "completion", "response", "pred", "text"});
    if (failed) return {};
    if (prediction == nullptr) {
      if (json.contains("prediction")) return {};
      return BadInput("no field 'prediction' (null says that the request failed)");
    }
    if (!prediction->is_string()) return BadInput("'prediction' must be text");
    item.predictions.push_back(prediction->get<std::string>());
    return {};
  }

  Status ReadHarness(const Json& json, Item& item) {
    const Json* id = Field(json, {"doc_id"});
    if (id == nullptr) return BadInput("no field 'doc_id'");
    item.id = TextOf(*id);
    const Json& replies = json["resps"];
    if (!replies.is_array() || replies.empty() || !replies[0].is_array())
      return BadInput("'resps' must be a list of lists of texts");
    for (const Json& reply : replies[0]) {
      if (!reply.is_string()) return BadInput("'resps' holds log-likelihoods; only generated text is scored");
      item.predictions.push_back(reply.get<std::string>());
    }
    const Json* filter = Field(json, {"filter"});
    const std::string filter_name = filter != nullptr ? TextOf(*filter) : "none";
    if (const Json* score = Field(json, {"exact_match"}); score != nullptr && score->is_number())
      item.recorded[filter_name == "none" ? "exact_match" : filter_name] = score->get<double>();
    if (const Json* score = Field(json, {"math_verify"}); score != nullptr && score->is_number())
      item.recorded["math_verify"] = score->get<double>();
    for (const Filter& rule : task_.filters) {
      const auto score = rule.metric.empty() ? std::nullopt : RecordedScore(json, std::string(rule.metric));
      if (score) item.recorded[std::string(rule.name)] = *score;
    }
    if (item.recorded.empty()) item.recorded[filter_name] = -1;  // the row is there all the same
    return {};
  }

  static Status ReadUpstream(const Json& json, Item& item) {
    const Json* id = Field(json, {"index"});
    if (id == nullptr) return BadInput("no field 'index'");
    item.id = TextOf(*id);
    const Json* success = Field(json, {"success"});
    if (success != nullptr && *success == false) return {};
    const Json* text = Field(json, {"output_tokens"});
    if (text == nullptr) return {};
    if (!text->is_string()) return BadInput("'output_tokens' must be the generated text");
    item.predictions.push_back(text->get<std::string>());
    return {};
  }

  // lm-eval writes a document once for each filter; of programs each row may be one more sample.
  Status Merge(Item& known, Item& item) const {
    if (task_.RunsCode() && read_.form == kPlain) {
      std::ranges::move(item.predictions, std::back_inserter(known.predictions));
      return {};
    }
    for (const auto& [filter, score] : item.recorded) {
      if (known.recorded.contains(filter))
        return BadInput(fmt::format("id '{}' of filter {} was in row {} already", item.id, filter, known.row));
    }
    if (item.recorded.empty()) return BadInput(fmt::format("id '{}' was in row {} already", item.id, known.row));
    if (item.predictions != known.predictions)
      return BadInput(fmt::format("id '{}' has other replies than in row {}", item.id, known.row));
    known.recorded.merge(item.recorded);
    return {};
  }

  Status ReadReferenceOf(const Json& json, Item& item) {
    ASSIGN_OR_RETURN(std::optional<Reference> own, ReferenceOfRow(task_, json, name_, false));
    if (own) {
      item.reference = std::move(*own);
      return {};
    }
    if (golds_ == nullptr) {
      if (task_.gold == GoldForm::kNone)
        return BadInput(fmt::format("no fields {}; give the data set with --gold or --dataset", task_.facts));
      return BadInput("no field 'gold' or 'target'; give the data set with --gold or --dataset");
    }
    // MoE-CAP numbers its requests by position; others have the data set's ids, or positions where it has none.
    const bool by_position = read_.form == kUpstream || golds_->by_id.empty();
    const auto found = golds_->by_id.find(item.id);
    const bool counted = read_.form == kPlain && Field(json, kIds) == nullptr;
    const size_t position = counted ? read_.items.size() : IndexOf(item.id);
    const size_t index = by_position ? position : found != golds_->by_id.end() ? found->second : SIZE_MAX;
    if (index >= golds_->rows.size())
      return BadInput(fmt::format("id '{}' is not among the {} gold answers", item.id, golds_->rows.size()));
    item.reference = golds_->rows[index];
    if (std::vector<std::string> choices = ChoicesOf(json); !choices.empty()) item.reference.choices = std::move(choices);
    return {};
  }

  static size_t IndexOf(const std::string& id) {
    size_t index = 0;
    for (const char c : id) {
      if (!IsDigit(c) || index > 1'000'000'000) return SIZE_MAX;
      index = index * 10 + static_cast<size_t>(c - '0');
    }
    return id.empty() ? SIZE_MAX : index;
  }

  void Warn(int64_t row, const char* what) {
    if (++warnings_ <= kMostWarnings) read_.warnings.push_back(Where(name_, row) + ": " + what);
  }

  const std::string& name_;
  const Task& task_;
  const Golds* golds_;
  Predictions read_;
  std::map<std::string, size_t> by_id_;
  size_t warnings_ = 0;
};

}  // namespace

Result<Golds> ParseGolds(std::string_view text, const std::string& name, const Task& task) {
  Golds golds;
  RETURN_IF_ERROR(ForEachRow(text, name, [&](int64_t, const Json& json) -> Status {
    ASSIGN_OR_RETURN(std::optional<Reference> read, ReferenceOfRow(task, json, name, true));
    if (!read && task.gold == GoldForm::kNone) return BadInput(fmt::format("no fields {}", task.facts));
    if (!read) return BadInput("no field 'gold', 'target', 'answer' or 'solution'");
    if (const Json* id = Field(json, {"id", "doc_id", "index", "unique_id", "question_id", "task_id", "key", "_id"})) {
      if (!golds.by_id.emplace(TextOf(*id), golds.rows.size()).second)
        return BadInput(fmt::format("id '{}' stands twice", TextOf(*id)));
    }
    golds.rows.push_back(std::move(*read));
    return {};
  }));
  return golds;
}

Result<Predictions> ParsePredictions(std::string_view text, const std::string& name, const Task& task, const Golds* golds) {
  Reader reader(name, task, golds);
  RETURN_IF_ERROR(ForEachRow(text, name, [&](int64_t row, const Json& json) { return reader.Add(row, json); }));
  return std::move(reader).Take();
}

}  // namespace moecap::accuracy
