#include "accuracy/longbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "accuracy/regex.h"
#include "accuracy/rouge_l.h"
#include "accuracy/sequence_ratio.h"
#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

using enum LongBenchMetric;

constexpr std::array kTasks{
    LongBenchTask{"narrativeqa", kQaF1},
    LongBenchTask{"qasper", kQaF1},
    LongBenchTask{"multifieldqa_en", kQaF1},
    LongBenchTask{"multifieldqa_zh", kNeedsJieba},
    LongBenchTask{"hotpotqa", kQaF1},
    LongBenchTask{"2wikimqa", kQaF1},
    LongBenchTask{"musique", kQaF1},
    LongBenchTask{"dureader", kNeedsJieba},
    LongBenchTask{"gov_report", kRougeL},
    LongBenchTask{"qmsum", kRougeL},
    LongBenchTask{"multi_news", kRougeL},
    LongBenchTask{"vcsum", kNeedsJieba},
    LongBenchTask{"trec", kClassification, true},
    LongBenchTask{"triviaqa", kQaF1, true},
    LongBenchTask{"samsum", kRougeL, true},
    LongBenchTask{"lsht", kClassification, true},
    LongBenchTask{"passage_retrieval_en", kRetrieval},
    LongBenchTask{"passage_count", kCount},
    LongBenchTask{"passage_retrieval_zh", kRetrieval},
    LongBenchTask{"lcc", kCodeSimilarity},
    LongBenchTask{"repobench-p", kCodeSimilarity},
};

std::string_view WithoutLeadingNewlines(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

// Lower case, without ASCII punctuation and English articles, divided at blanks.
std::string NormalisedForF1(std::string_view text) {
  std::string plain = LowerCase(ValidUtf8(text));
  std::erase_if(plain, [](char c) { return unicode::IsAsciiPunctuation(static_cast<unsigned char>(c)); });
  static const Regex articles("\\b(?:a|an|the)\\b");
  std::string kept;
  size_t from = 0;
  articles.ForEach(plain, [&](std::string_view article) {
    const auto at = static_cast<size_t>(article.data() - plain.data());
    kept.append(plain, from, at - from) += ' ';
    from = at + article.size();
  });
  return kept.append(plain, from);
}

// The first line of code without the marks of fences and comments; empty for none.
std::string_view FirstUnmarkedLine(std::string_view code, bool skip_blank) {
  for (const std::string_view line : unicode::SplitAt(code, "\n")) {
    if (line.find_first_of("`#") != std::string_view::npos || line.find("//") != std::string_view::npos) continue;
    if (!skip_blank || !Strip(line).empty()) return line;
  }
  return {};
}

// The share of the numbers in `prediction` that are written as `expected`; 0 without any.
double ShareOfNumbers(std::string_view prediction, std::string_view expected) {
  static const Regex numbers("\\d+");
  int64_t all = 0, equal = 0;
  numbers.ForEach(ValidUtf8(prediction), [&](std::string_view number) {
    ++all;
    equal += number == expected ? 1 : 0;
  });
  return all == 0 ? 0 : static_cast<double>(equal) / static_cast<double>(all);
}

Result<double> Score(LongBenchMetric metric, std::string_view prediction, std::string_view gold,
                     std::span<const std::string> classes) {
  switch (metric) {
    case kQaF1:
      return QaF1(prediction, gold);
    case kRougeL:
      return RougeL(prediction, gold);
    case kClassification:
      return ClassScore(prediction, gold, classes);
    case kCount:
      return CountScore(prediction, gold);
    case kCodeSimilarity:
      return CodeSimilarity(prediction, gold);
    case kRetrieval:
      if (const std::optional<double> score = RetrievalScore(prediction, gold)) return *score;
      return BadInput(fmt::format("the gold answer names no paragraph: {}", gold));
    case kNeedsJieba:
      break;
  }
  return BadInput("this task's words are told apart by the Python package jieba, which moecap does not have");
}

}  // namespace

double QaF1(std::string_view prediction, std::string_view gold) {
  const std::string predicted_text = NormalisedForF1(prediction), expected_text = NormalisedForF1(gold);
  const std::vector<std::string_view> predicted = unicode::Split(predicted_text), expected = unicode::Split(expected_text);
  std::unordered_map<std::string_view, int64_t> left;
  for (const std::string_view word : expected) ++left[word];
  int64_t same = 0;
  for (const std::string_view word : predicted) {
    const auto found = left.find(word);
    if (found != left.end() && found->second-- > 0) ++same;
  }
  if (same == 0) return 0;
  const double precision = static_cast<double>(same) / static_cast<double>(predicted.size());
  const double recall = static_cast<double>(same) / static_cast<double>(expected.size());
  return 2 * precision * recall / (precision + recall);
}

double ClassScore(std::string_view prediction, std::string_view gold, std::span<const std::string> classes) {
  std::vector<std::string_view> found;
  for (const std::string& name : classes) {
    if (prediction.find(name) != std::string_view::npos) found.push_back(name);
  }
  // The original removes from the list that it walks, so that the name after a removed one is not looked at.
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string_view name = found[i];
    if (gold.find(name) != std::string_view::npos && name != gold) found.erase(std::ranges::find(found, name));
  }
  return std::ranges::find(found, gold) == found.end() ? 0 : 1.0 / static_cast<double>(found.size());
}

double CountScore(std::string_view prediction, std::string_view gold) { return ShareOfNumbers(prediction, gold); }

std::optional<double> RetrievalScore(std::string_view prediction, std::string_view gold) {
  static const Regex paragraph("(?:Paragraph |段落)(\\d+)");
  const std::string text = ValidUtf8(gold);
  std::optional<std::string_view> expected;
  paragraph.ForEach(text, [&](std::string_view number) {
    if (!expected) expected = number;
  });
  if (!expected) return std::nullopt;
  return ShareOfNumbers(prediction, *expected);
}

double CodeSimilarity(std::string_view prediction, std::string_view gold) {
  return FuzzyPercent(FirstUnmarkedLine(WithoutLeadingNewlines(prediction), false), gold) / 100.0;
}

const LongBenchTask* FindLongBenchTask(std::string_view name) {
  if (name.ends_with("_e")) name.remove_suffix(2);
  const auto* const found = std::ranges::find(kTasks, name, &LongBenchTask::name);
  return found == kTasks.end() ? nullptr : &*found;
}

namespace {

Result<double> BestScore(const LongBenchTask& task, std::string_view prediction, std::span<const std::string> answers,
                         std::span<const std::string> classes) {
  double best = 0;
  for (const std::string& gold : answers) {
    ASSIGN_OR_RETURN(const double score, Score(task.metric, prediction, gold, classes));
    best = std::max(best, score);
  }
  return best;
}

Error NoSuchTask(std::string_view task) { return BadInput(fmt::format("LongBench has no task '{}'", task)); }

}  // namespace

Result<double> ScoreLongBench(std::string_view task, std::string_view prediction, std::span<const std::string> answers,
                              std::span<const std::string> classes) {
  const LongBenchTask* const rule = FindLongBenchTask(task);
  if (rule == nullptr) return NoSuchTask(task);
  if (rule->first_line_only) {
    prediction = WithoutLeadingNewlines(prediction);
    prediction = prediction.substr(0, prediction.find('\n'));
  }
  return BestScore(*rule, prediction, answers, classes);
}

Result<double> ScoreLongBenchHarness(std::string_view task, std::string_view prediction, std::span<const std::string> answers,
                                     std::span<const std::string> classes) {
  const LongBenchTask* const rule = FindLongBenchTask(task);
  if (rule == nullptr) return NoSuchTask(task);
  const bool code = rule->metric == kCodeSimilarity;
  return BestScore(*rule, code ? FirstUnmarkedLine(prediction, true) : Strip(prediction), answers, classes);
}

std::optional<char> LongBenchV2Letter(std::string_view prediction) {
  std::string text(prediction);
  std::erase(text, '*');
  const auto after = [&](std::string_view lead, bool closes) -> std::optional<char> {
    for (size_t at = 0; (at = text.find(lead, at)) != std::string::npos; ++at) {
      const std::string_view rest = std::string_view(text).substr(at + lead.size());
      const bool letter = !rest.empty() && rest[0] >= 'A' && rest[0] <= 'D';
      if (letter && (!closes || (rest.size() > 1 && rest[1] == ')'))) return rest[0];
    }
    return std::nullopt;
  };
  const std::optional<char> bracketed = after("The correct answer is (", true);
  return bracketed ? bracketed : after("The correct answer is ", false);
}

}  // namespace moecap::accuracy
