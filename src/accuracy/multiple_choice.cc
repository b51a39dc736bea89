#include "accuracy/multiple_choice.h"

#include <algorithm>
#include <array>
#include <vector>

#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

enum class Take { kFirst, kLast };

// exact_match with ignore_case and ignore_punctuation.
std::string Bare(std::string_view text) { return WithoutPunctuation(LowerCase(text)); }

Verdict CompareBare(std::optional<std::string> found, std::string_view gold, bool gave_up = false) {
  Verdict verdict{std::move(found), false, gave_up};
  verdict.correct = verdict.extracted && Bare(*verdict.extracted) == Bare(gold);
  return verdict;
}

std::optional<std::string> Find(const Regex& pattern, Take take, std::string_view text, bool* gave_up) {
  std::optional<std::string> found = take == Take::kFirst ? pattern.FindFirst(text, gave_up) : pattern.FindLast(text, gave_up);
  if (found) found = std::string(Strip(*found));
  return found;
}

Verdict ScoreBare(const Regex& pattern, Take take, const Answer& answer) {
  bool gave_up = false;
  std::optional<std::string> found = Find(pattern, take, answer.prediction, &gave_up);
  return CompareBare(std::move(found), answer.gold, gave_up);
}

// Gold as the rules with bare letters want it: "(B)" and "B" are B.
std::string_view BareLetter(std::string_view gold) {
  gold = Strip(gold);
  if (gold.size() == 3 && gold.front() == '(' && gold.back() == ')') gold = gold.substr(1, 1);
  return gold;
}

Verdict CompareLetter(std::optional<std::string> letter, std::string_view gold, bool gave_up = false) {
  Verdict verdict{std::move(letter), false, gave_up};
  verdict.correct = verdict.extracted && *verdict.extracted == BareLetter(gold);
  return verdict;
}

std::string LetterOf(size_t choice) { return {static_cast<char>('A' + choice)}; }

// The last of the choices' own texts in the reply, both without case and Unicode punctuation: its letter in brackets, its text
// where blanks at its ends keep the filter from finding the letter, null for none. At each place the longest choice that fits,
// the first of equally long ones.
std::optional<std::string> LastChoiceText(std::string_view reply, std::span<const std::string> choices) {
  static const Regex punctuation("\\p{P}");
  const auto plain = [&](std::string_view text) { return punctuation.RemoveAll(LowerCase(text)); };
  const std::string text = plain(reply);
  std::vector<std::string> plain_choices;
  for (const std::string& choice : choices) plain_choices.push_back(plain(Strip(choice)));
  // An empty choice is found everywhere, at the very end last, and is no answer.
  if (std::count(plain_choices.begin(), plain_choices.end(), "") > 0) return std::nullopt;
  std::optional<size_t> last;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at);
    const std::string* fits = nullptr;
    for (const std::string& choice : plain_choices) {
      if (rest.starts_with(choice) && (fits == nullptr || choice.size() > fits->size())) fits = &choice;
    }
    if (fits == nullptr) {
      ++at;
      continue;
    }
    last = static_cast<size_t>(fits - plain_choices.data());
    at += fits->size();
  }
  if (!last) return std::nullopt;
  const std::string_view found = Strip(plain_choices[*last]);
  // A text that two choices share stands for the later one.
  for (size_t choice = plain_choices.size(); choice-- > 0;) {
    if (plain_choices[choice] == found) return "(" + LetterOf(choice) + ")";
  }
  return std::string(found);
}

// The last letter of a choice that follows a colon.
std::optional<std::string> LastLetterAfterColon(std::string_view reply, size_t choices, bool* gave_up) {
  static const Regex letter_after_colon(":[\\s]*([A-Z])");
  std::optional<std::string> last;
  for (const Regex::Match& match : letter_after_colon.FindIter(reply, gave_up)) {
    if (static_cast<size_t>(match.groups[1][0] - 'A') < choices) last = "(" + std::string(match.groups[1]) + ")";
  }
  return last;
}

constexpr size_t kMostChoices = 26;

}  // namespace

Verdict MmluProCustomExtract(const Answer& answer) {
  static const Regex pattern("answer is \\(?([ABCDEFGHIJ])\\)?");
  return ScoreBare(pattern, Take::kFirst, answer);
}

Verdict GpqaStrictMatch(const Answer& answer) {
  static const Regex pattern("(?<=The answer is )(.*)(?=.)");
  return ScoreBare(pattern, Take::kFirst, answer);
}

Verdict MmluFlanStrictMatch(const Answer& answer) {
  static const Regex pattern(
      "((?<=The answer is )(.*)(?=.)|(?<=answer is )(.*)(?=.)|(?<=The answer: )(.*)(?=.)|(?<=The final answer: )(.*)(?=.))");
  Verdict verdict = ScoreBare(pattern, Take::kFirst, answer);
  // Of a match whose groups are all empty the filter takes none.
  if (verdict.extracted && verdict.extracted->empty()) return {std::nullopt, false, verdict.gave_up};
  return verdict;
}

Verdict MultipleChoiceFlexible(const Answer& answer) {
  static const Regex pattern("(\\([A-Z]\\))");
  bool gave_up = false;
  std::optional<std::string> found = Find(pattern, Take::kLast, answer.prediction, &gave_up);
  const std::span<const std::string> choices = answer.choices.first(std::min(answer.choices.size(), kMostChoices));
  if (!found) found = LastChoiceText(answer.prediction, choices);
  if (!found) found = LastLetterAfterColon(answer.prediction, choices.size(), &gave_up);
  return CompareBare(std::move(found), answer.gold, gave_up);
}

Verdict MmluGenerativeGetResponse(const Answer& answer) {
  const std::string_view line = answer.prediction.substr(0, answer.prediction.find('\n'));
  return CompareBare(std::string(Strip(line)), answer.gold);
}

Verdict MmluCotLlamaStrictMatch(const Answer& answer) {
  static const Regex pattern("best answer is ([A-Z])");
  return ScoreBare(pattern, Take::kLast, answer);
}

namespace {

Verdict Mlperf(const Regex& marked, const Regex* standalone, const Answer& answer) {
  std::string text(Strip(answer.prediction));
  for (const auto& [begin, end] : {std::pair{"['", "']"}, {"['", "\"]"}, {"[\"", "']"}, {"[\"", "\"]"}}) {
    if (text.size() < 4 || !text.starts_with(begin) || !text.ends_with(end)) continue;
    text = std::string(Strip(text.substr(2, text.size() - 4)));
    break;
  }
  Replace(text, "\\n", "\n");
  Replace(text, "\\'", "'");
  bool gave_up = false;
  std::optional<std::string> letter = marked.FindLast(text, &gave_up);
  if (!letter && standalone != nullptr) letter = standalone->FindLast(text, &gave_up);
  if (letter) letter = UpperCaseAscii(*letter);
  return CompareLetter(std::move(letter), UpperCaseAscii(answer.gold), gave_up);
}

}  // namespace

Verdict MlperfAToD(const Answer& answer) {
  static const Regex marked("(?i)\\b(?:ANSWER|FINAL\\s*ANSWER)\\b\\s*[:=]?\\s*(?:\\(?\\s*([A-D])\\s*\\)?)(?:\\s*$|[^A-Za-z])");
  return Mlperf(marked, nullptr, answer);
}

Verdict MlperfAToJ(const Answer& answer) {
  static const Regex marked("(?i)\\b(?:ANSWER|FINAL\\s*ANSWER)\\b\\s*[:=]?\\s*(?:\\(?\\s*([A-J])\\s*\\)?)(?:\\s*$|[^A-Za-z])");
  static const Regex standalone("(?i)\\b([A-J])\\b");
  return Mlperf(marked, &standalone, answer);
}

namespace {

const Regex& TigerMarked() {
  static const Regex pattern("answer is \\(?([A-J])\\)?");
  return pattern;
}

}  // namespace

Verdict TigerLevel1(const Answer& answer) {
  bool gave_up = false;
  std::optional<std::string> letter = TigerMarked().FindFirst(answer.prediction, &gave_up);
  return CompareLetter(std::move(letter), answer.gold, gave_up);
}

Verdict TigerLevel2(const Answer& answer) {
  static const Regex labelled(".*[aA]nswer:\\s*([A-J])");
  static const Regex standalone("\\b[A-J]\\b");  // the last one, which the original finds by looking ahead
  bool gave_up = false;
  std::optional<std::string> letter = TigerMarked().FindFirst(answer.prediction, &gave_up);
  if (!letter) letter = labelled.FindFirst(answer.prediction, &gave_up);
  if (!letter) letter = standalone.FindLast(answer.prediction, &gave_up);
  return CompareLetter(std::move(letter), answer.gold, gave_up);
}

Verdict GpqaOfficial(const Answer& answer) {
  static const std::array<Regex, 5> patterns{Regex("answer is \\((.)\\)"), Regex("Answer: \\((.)\\)"),
                                             Regex("answer: \\((.)\\)"), Regex("answer \\((.)\\)"), Regex("\\((.)\\)")};
  bool gave_up = false;
  std::optional<std::string> letter;
  for (const Regex& pattern : patterns) {
    letter = pattern.FindFirst(answer.prediction, &gave_up);
    if (letter && letter->size() == 1 && (*letter)[0] >= 'A' && (*letter)[0] <= 'D') break;
    letter.reset();
  }
  return CompareLetter(std::move(letter), answer.gold, gave_up);
}

Verdict LongBenchV2Official(const Answer& answer) {
  static const Regex in_brackets("The correct answer is \\(([A-D])\\)");
  static const Regex bare("The correct answer is ([A-D])");
  const std::string text = Replaced(answer.prediction, "*", "");
  bool gave_up = false;
  std::optional<std::string> letter = in_brackets.FindFirst(text, &gave_up);
  if (!letter) letter = bare.FindFirst(text, &gave_up);
  return CompareLetter(std::move(letter), answer.gold, gave_up);
}

Verdict SimpleEvalsGpqa(const Answer& answer) {
  static const Regex pattern("(?i)Answer[ \\t]*:[ \\t]*\\$?([A-D])\\$?");
  bool gave_up = false;
  std::optional<std::string> letter = pattern.FindFirst(answer.prediction, &gave_up);
  return CompareLetter(std::move(letter), answer.gold, gave_up);
}

}  // namespace moecap::accuracy
