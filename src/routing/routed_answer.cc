#include "routing/routed_answer.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

namespace moecap::routing {
namespace {

namespace json = simdjson::ondemand;

constexpr int64_t kMostTokens = int64_t{1} << 28;

bool IsA(json::value value, json::json_type wanted) {
  json::json_type type;
  return !value.type().get(type) && type == wanted;
}

// A string; anything else leaves `text` as it is.
bool TakeText(json::value value, std::string& text) {
  if (!IsA(value, json::json_type::string)) return true;
  std::string_view view;
  if (value.get_string().get(view)) return false;
  text = view;
  return true;
}

bool TakeCount(json::value value, std::optional<int64_t>& count) {
  if (!IsA(value, json::json_type::number)) return true;
  int64_t number = 0;
  if (value.get_int64().get(number) || number < 0 || number > kMostTokens) return false;
  count = number;
  return true;
}

bool TakeIds(json::value value, std::vector<int32_t>& ids) {
  if (!IsA(value, json::json_type::array)) return true;
  json::array array;
  if (value.get_array().get(array)) return false;
  ids.clear();
  for (auto entry : array) {
    int64_t id = 0;
    if (entry.get_int64().get(id) || id < 0 || id > INT32_MAX) return false;
    ids.push_back(static_cast<int32_t>(id));
  }
  return true;
}

// The encoded routes: a string's text, or a list as it stands; null is none.
bool TakeRoutes(json::value value, std::string& routes) {
  if (!IsA(value, json::json_type::array)) return TakeText(value, routes);
  json::array array;
  std::string_view list;
  if (value.get_array().get(array) || array.raw_json().get(list)) return false;
  routes = list;
  return true;
}

using Answers = std::vector<RoutedAnswer>;

// Objects whose members count as their holder's.
constexpr std::string_view kNested[] = {"usage", "prompt_tokens_details", "meta_info", "metadata", "sglext", "sgl_ext"};

// Reads the members of a response, or of an object inside one, into the first of `answers`; further choices are added.
class ResponseReader {
 public:
  explicit ResponseReader(Answers& answers) : answers_(answers) {}

  bool Read(json::object object) { return ReadInto(object, 0); }

 private:
  bool ReadInto(json::object object, size_t index) {
    for (auto field : object) {
      std::string_view key;
      json::value value;
      if (field.unescaped_key().get(key) || field.value().get(value)) return false;
      if (!TakeMember(key, value, index)) return false;
    }
    return true;
  }

  bool TakeMember(std::string_view key, json::value value, size_t index) {
    RoutedAnswer& answer = answers_[index];
    if (key == "choices") return ReadChoices(value);
    if (std::ranges::find(kNested, key) != std::end(kNested)) {
      json::object object;
      return !IsA(value, json::json_type::object) || (!value.get_object().get(object) && ReadInto(object, index));
    }
    if (key == "routed_experts") return TakeRoutes(value, answer.routes);
    if (key == "prompt_routed_experts") return TakeRoutes(value, answer.prompt_routes);
    if (key == "prompt_tokens") return TakeCount(value, answer.prompt_tokens);
    if (key == "completion_tokens") return TakeCount(value, answer.output_tokens);
    if (key == "cached_tokens") return TakeCount(value, answer.cached_tokens);
    if (key == "prompt_token_ids") return TakeIds(value, answer.prompt_ids);
    if (key == "token_ids" || key == "response_token_ids" || key == "output_ids") return TakeIds(value, answer.output_ids);
    if (key == "id") return TakeText(value, answer.id);
    if (key == "model") return TakeText(value, answer.model);
    return (key != "weight_version" && key != "system_fingerprint") || TakeText(value, answer.fingerprint);
  }

  bool ReadChoices(json::value value) {
    if (!IsA(value, json::json_type::array)) return true;
    json::array choices;
    if (value.get_array().get(choices)) return false;
    size_t index = 0;
    for (auto entry : choices) {
      json::object choice;
      if (entry.get_object().get(choice)) return false;
      if (index == answers_.size()) answers_.emplace_back();
      if (!ReadInto(choice, index++)) return false;
    }
    return true;
  }

  Answers& answers_;
};

// What the response says once holds for each of its choices, but for the tokens, which it adds up.
void ShareAmongChoices(Answers& choices) {
  if (choices.size() < 2) return;
  for (RoutedAnswer& choice : choices) {
    choice.output_tokens.reset();
    if (&choice == &choices.front()) continue;
    choice.id = choices.front().id;
    choice.model = choices.front().model;
    choice.fingerprint = choices.front().fingerprint;
    choice.prompt_tokens = choices.front().prompt_tokens;
    choice.prompt_ids = choices.front().prompt_ids;
    choice.prompt_routes = choices.front().prompt_routes;
  }
}

Result<Answers> ReadResponse(json::object object) {
  Answers choices(1);
  if (!ResponseReader(choices).Read(object)) return BadInput("an answer's members are not what they should be");
  ShareAmongChoices(choices);
  return choices;
}

void Add(Answers& all, Answers more) { std::move(more.begin(), more.end(), std::back_inserter(all)); }

// One JSON text: an object, or a list of objects.
Result<Answers> ReadDocument(json::parser& parser, std::string_view text) {
  const simdjson::padded_string padded(text);
  const auto broken = [] { return BadInput("not JSON"); };
  json::document document;
  if (parser.iterate(padded).get(document)) return broken();
  json::json_type type;
  if (document.type().get(type)) return broken();
  Answers answers;
  if (type == json::json_type::object) {
    json::object object;
    if (document.get_object().get(object)) return broken();
    ASSIGN_OR_RETURN(answers, ReadResponse(object));
  } else if (type == json::json_type::array) {
    json::array list;
    if (document.get_array().get(list)) return broken();
    for (auto entry : list) {
      json::object object;
      if (entry.get_object().get(object)) return BadInput("a list of responses holds something that is no object");
      ASSIGN_OR_RETURN(Answers more, ReadResponse(object));
      Add(answers, std::move(more));
    }
  } else {
    return BadInput("a response is not a JSON object");
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return broken();  // something follows
  return answers;
}

// A later event of the same stream: it says what the earlier ones did not, and how much there is by now.
void Fold(RoutedAnswer event, RoutedAnswer& answer) {
  const auto take = [](auto& from, auto& to) {
    if (from != std::remove_reference_t<decltype(from)>()) to = std::move(from);
  };
  take(event.prompt_tokens, answer.prompt_tokens);
  take(event.output_tokens, answer.output_tokens);
  take(event.cached_tokens, answer.cached_tokens);
  take(event.routes, answer.routes);
  take(event.prompt_routes, answer.prompt_routes);
  take(event.fingerprint, answer.fingerprint);
  answer.output_ids.clear();  // pieces or everything so far: not told apart
}

struct Lines {
  Status Read(std::string_view line) {
    constexpr std::string_view kData = "data:";
    const bool is_event = line.starts_with(kData);
    if (is_event) line.remove_prefix(kData.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    for (const std::string_view other : {"[DONE]", ":", "event:", "id:", "retry:"}) {
      if (line.starts_with(other)) return {};
    }
    if (line.empty()) return {};
    ASSIGN_OR_RETURN(Answers read, ReadDocument(parser, line));
    if (is_event && in_stream && !answers.empty() && !read.empty() && read.front().id == answers.back().id) {
      Fold(std::move(read.front()), answers.back());
    } else {
      Add(answers, std::move(read));
    }
    in_stream = is_event;
    return {};
  }

  json::parser parser;
  Answers answers;
  bool in_stream = false;
};

}  // namespace

Result<std::vector<RoutedAnswer>> ReadRoutedAnswers(std::string_view text) {
  Lines lines;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return BadInput("the file is empty");
  text.remove_prefix(first);
  if (text.front() == '{' || text.front() == '[') {
    if (auto whole = ReadDocument(lines.parser, text); whole.ok()) return whole;
  }
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    if (const Status read = lines.Read(text.substr(begin, end - begin)); !read.ok())
      return Annotate(fmt::format("line {}", number), read.error());
    begin = end + 1;
  }
  return std::move(lines.answers);
}

Result<RoutedExperts> ExpertsOf(const RoutedAnswer& answer, RoutedShape shape) {
  std::optional<int64_t> output = answer.output_tokens;
  if (!output && !answer.output_ids.empty()) output = static_cast<int64_t>(answer.output_ids.size());
  if (shape.rows == 0 && answer.prompt_tokens && output) shape.rows = *answer.prompt_tokens + *output - 1;
  if (answer.prompt_routes.empty()) return DecodeRoutedExperts(answer.routes, shape);
  // vLLM 0.21 tells the prompt apart; its rows are counted otherwise.
  shape.rows = 0;
  ASSIGN_OR_RETURN(RoutedExperts experts, DecodeRoutedExperts(answer.prompt_routes, shape));
  if (answer.routes.empty()) return experts;
  ASSIGN_OR_RETURN(const RoutedExperts rest, DecodeRoutedExperts(answer.routes, shape));
  RETURN_IF_ERROR(Append(experts, rest));
  return experts;
}

}  // namespace moecap::routing
