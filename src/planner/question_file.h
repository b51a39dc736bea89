// A question as text: the keys that flags and YAML files share, and how they become a Question.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "planner/question.h"

namespace moecap::planner {

struct QuestionKey {
  std::string_view name;  // in YAML
  std::string_view flag;  // without dashes; "" = none
  std::string_view help;
};
std::span<const QuestionKey> QuestionKeys();

// Values by key as they were written; lists are separated by commas.
class QuestionText {
 public:
  void Set(const std::string& key, std::string value) { values_[key] = std::move(value); }
  // "" when it is not set.
  std::string Get(const std::string& key) const;
  // The other's values go before these.
  void Overlay(const QuestionText& other);

 private:
  std::map<std::string, std::string> values_;
};

// "model" is a key here, too. Error kBadInput: "FILE:LINE: ..." for an unknown key or a value that is neither a word nor a
// list.
Result<QuestionText> ParseQuestionFile(std::string_view yaml, const std::string& file);

// "2xrtx-4090": how many of which device. Error kBadInput: nothing named, or a count of 0.
Result<cost::MachinePart> ParseDevices(const std::string& text);

// Durations may carry ms, s, min; amounts k or M; memory GB or GiB; shares %. What is not given comes from the scenario, which
// is "chat" unless one is named. Errors: kBadInput naming the key, and those of CheckQuestion.
Result<Question> MakeQuestion(const QuestionText& text);

}  // namespace moecap::planner
