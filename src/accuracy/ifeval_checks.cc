#include "accuracy/ifeval_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "accuracy/language.h"
#include "accuracy/regex.h"
#include "accuracy/sentences.h"
#include "accuracy/unicode.h"
#include "base/python_json.h"

namespace moecap::accuracy {
namespace {

InstructionVerdict Decided(bool followed) { return {followed, {}}; }
InstructionVerdict NotJudged(std::string reason) { return {std::nullopt, std::move(reason)}; }

InstructionVerdict Compare(int64_t count, const Instruction& instruction) {
  return Decided(instruction.relation == Relation::kAtLeast ? count >= instruction.number : count < instruction.number);
}

// How often a regular expression of the data set matches.
struct Matches {
  std::optional<int64_t> count;
  InstructionVerdict why_not;
};
Matches CountMatches(const std::string& pattern, bool ignore_case, const std::string& answer) {
  const std::optional<Regex> compiled = Regex::OfData(pattern, ignore_case);
  if (!compiled) return {std::nullopt, NotJudged(fmt::format("'{}' is no regular expression", pattern))};
  const std::optional<int64_t> count = compiled->Count(answer);
  if (!count) return {std::nullopt, NotJudged(fmt::format("looking for '{}' takes too long", pattern))};
  return {count, {}};
}

// ---- keywords ----

InstructionVerdict Existence(const Instruction& instruction, const std::string& answer) {
  for (const std::string& keyword : instruction.texts) {
    const Matches matches = CountMatches(keyword, true, answer);
    if (!matches.count) return matches.why_not;
    if (*matches.count == 0) return Decided(false);
  }
  return Decided(true);
}

InstructionVerdict KeywordFrequency(const Instruction& instruction, const std::string& answer) {
  const Matches matches = CountMatches(std::string(Strip(instruction.text)), true, answer);
  return matches.count ? Compare(*matches.count, instruction) : matches.why_not;
}

InstructionVerdict ForbiddenWords(const Instruction& instruction, const std::string& answer) {
  for (const std::string& word : instruction.texts) {
    const Matches matches = CountMatches("\\b" + word + "\\b", true, answer);
    if (!matches.count) return matches.why_not;
    if (*matches.count > 0) return Decided(false);
  }
  return Decided(true);
}

InstructionVerdict LetterFrequency(const Instruction& instruction, const std::string& answer) {
  const std::u32string letter = unicode::CodePoints(LowerCase(instruction.text));
  const std::u32string letters = unicode::CodePoints(LowerCase(answer));
  return Compare(std::ranges::count(letters, letter.front()), instruction);
}

// ---- language and letter case ----

InstructionVerdict ResponseLanguage(const Instruction& instruction, const std::string& answer) {
  const std::optional<std::string_view> language = LanguageOf(answer);
  if (!language) return NotJudged("which language it is cannot be told for certain");
  return Decided(*language == instruction.text);
}

InstructionVerdict InEnglish(const std::string& answer) {
  const std::optional<std::string_view> language = LanguageOf(answer);
  if (!language) return NotJudged("whether it is English cannot be told for certain");
  return Decided(*language == "en");
}
InstructionVerdict EnglishCapital(const Instruction&, const std::string& answer) {
  return unicode::IsUpper(answer) ? InEnglish(answer) : Decided(false);
}
InstructionVerdict EnglishLowercase(const Instruction&, const std::string& answer) {
  return unicode::IsLower(answer) ? InEnglish(answer) : Decided(false);
}

InstructionVerdict CapitalWords(const Instruction& instruction, const std::string& answer) {
  return Compare(CountCapitalWords(answer), instruction);
}

// ---- length ----

InstructionVerdict NumberOfSentences(const Instruction& instruction, const std::string& answer) {
  const SentenceCount count = CountSentences(answer);
  const InstructionVerdict least = Compare(count.least, instruction), most = Compare(count.most, instruction);
  if (least.followed == most.followed) return least;
  return NotJudged(
      fmt::format("it has {} to {} sentences, and which is up to the model of NLTK's punkt", count.least, count.most));
}

InstructionVerdict NumberOfWords(const Instruction& instruction, const std::string& answer) {
  static const Regex words("[\\p{L}\\p{N}_]+");
  const std::optional<int64_t> count = words.Count(answer);
  return count ? Compare(*count, instruction) : NotJudged("counting its words takes too long");
}

// Pieces between dividers "***" that stand with at most one blank on either side.
InstructionVerdict NumberOfParagraphs(const Instruction& instruction, const std::string& answer) {
  static const Regex divider("\\s?\\*\\*\\*\\s?");
  std::vector<std::string_view> paragraphs;
  size_t from = 0;
  divider.ForEach(answer, [&](std::string_view found) {
    const auto at = static_cast<size_t>(found.data() - answer.data());
    paragraphs.push_back(std::string_view(answer).substr(from, at - from));
    from = at + found.size();
  });
  paragraphs.push_back(std::string_view(answer).substr(from));
  int64_t count = std::ssize(paragraphs);
  for (size_t i = 0; i < paragraphs.size(); ++i) {
    if (!Strip(paragraphs[i]).empty()) continue;
    if (i != 0 && i + 1 != paragraphs.size()) return Decided(false);
    --count;
  }
  return Decided(count == instruction.number);
}

// The first word without quotes before it, up to a mark, in lower case.
std::string FirstWord(std::string_view paragraph) {
  std::string_view word = unicode::Split(paragraph).front();
  for (const char quote : {'\'', '"'}) word.remove_prefix(std::min(word.find_first_not_of(quote), word.size()));
  return LowerCase(word.substr(0, word.find_first_of(".,?!'\"")));
}

InstructionVerdict NthParagraphFirstWord(const Instruction& instruction, const std::string& answer) {
  const std::vector<std::string_view> paragraphs = unicode::SplitAt(answer, "\n\n");
  const int64_t count = std::ranges::count_if(paragraphs, [](std::string_view paragraph) { return !Strip(paragraph).empty(); });
  if (instruction.nth > count) return Decided(false);
  // The blank ones are not counted but have a number.
  const std::string_view paragraph = Strip(paragraphs[static_cast<size_t>(instruction.nth - 1)]);
  if (paragraph.empty()) return Decided(false);
  return Decided(count == instruction.number && FirstWord(paragraph) == LowerCase(instruction.text));
}

// ---- content and format ----

// "[...]" within a line.
InstructionVerdict NumberOfPlaceholders(const Instruction& instruction, const std::string& answer) {
  int64_t count = 0;
  for (const std::string_view line : unicode::SplitAt(answer, "\n")) {
    for (size_t open = 0; (open = line.find('[', open)) != std::string_view::npos;) {
      const size_t close = line.find(']', open);
      if (close == std::string_view::npos) break;
      ++count;
      open = close + 1;
    }
  }
  return Decided(count >= instruction.number);
}

InstructionVerdict Postscript(const Instruction& instruction, const std::string& answer) {
  const std::string marker(Strip(instruction.text));
  const std::string lowered = LowerCase(answer);
  const std::string pattern = marker == "P.P.S" ? "p\\.\\s?p\\.\\s?s" : marker == "P.S." ? "p\\.\\s?s\\." : LowerCase(marker);
  const Matches matches = CountMatches(pattern, false, lowered);
  return matches.count ? Decided(*matches.count > 0) : matches.why_not;
}

// Lines that begin with `mark`, blank lines before them included; what follows the mark must not be `not_next`.
int64_t CountBullets(std::u32string_view text, char32_t mark, char32_t not_next) {
  int64_t count = 0;
  size_t line = 0;
  while (line < text.size()) {
    size_t at = line;
    while (at < text.size() && unicode::IsBlank(text[at])) ++at;
    size_t end = at;
    if (at < text.size() && text[at] == mark) {
      const bool needs_next = not_next != 0;
      const bool bullet = !needs_next || (at + 1 < text.size() && text[at + 1] != not_next);
      count += bullet ? 1 : 0;
      // The character behind the mark may be the end of the line, and the bullet's text then the next line.
      end = bullet && needs_next ? at + 2 : at + 1;
    }
    const size_t end_of_line = text.find('\n', std::min(end, text.size()));
    if (end_of_line == std::u32string_view::npos) break;
    line = end_of_line + 1;
  }
  return count;
}

InstructionVerdict NumberOfBullets(const Instruction& instruction, const std::string& answer) {
  const std::u32string text = unicode::CodePoints(answer);
  return Decided(CountBullets(text, '*', '*') + CountBullets(text, '-', 0) == instruction.number);
}

InstructionVerdict ConstrainedResponse(const Instruction&, const std::string& answer) {
  constexpr std::array<std::string_view, 3> kOptions{"My answer is yes.", "My answer is no.", "My answer is maybe."};
  return Decided(
      std::ranges::any_of(kOptions, [&](std::string_view option) { return answer.find(option) != std::string::npos; }));
}

// Pieces without line ends and asterisks between two runs of `marks` asterisks, those of blanks alone not counted.
int64_t CountHighlights(std::string_view text, size_t marks) {
  const std::string mark(marks, '*');
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(mark, at)) != std::string_view::npos;) {
    const size_t from = at + marks;
    const size_t end = std::min(text.find_first_of("*\n", from), text.size());
    if (!text.substr(end).starts_with(mark)) {
      ++at;
      continue;
    }
    if (!Strip(text.substr(from, end - from)).empty()) ++count;
    at = end + marks;
  }
  return count;
}

InstructionVerdict NumberOfHighlights(const Instruction& instruction, const std::string& answer) {
  return Decided(CountHighlights(answer, 1) + CountHighlights(answer, 2) >= instruction.number);
}

InstructionVerdict MultipleSections(const Instruction& instruction, const std::string& answer) {
  const Matches matches = CountMatches("\\s?" + std::string(Strip(instruction.text)) + "\\s?\\d+\\s?", false, answer);
  return matches.count ? Decided(*matches.count >= instruction.number) : matches.why_not;
}

InstructionVerdict JsonFormat(const Instruction&, const std::string& answer) {
  std::string_view text = Strip(answer);
  for (const std::string_view fence : {"```json", "```Json", "```JSON", "```"}) {
    if (text.starts_with(fence)) text.remove_prefix(fence.size());
  }
  if (text.ends_with("```")) text.remove_suffix(3);
  return Decided(ParsePythonJson(Strip(text)).ok());
}

// "<<...>>" within a line, the widest, not empty inside.
InstructionVerdict Title(const Instruction&, const std::string& answer) {
  for (const std::string_view line : unicode::SplitAt(answer, "\n")) {
    const size_t open = line.find("<<"), close = line.rfind(">>");
    if (open == std::string_view::npos || close == std::string_view::npos || close < open + 3) continue;
    std::string_view title = line.substr(open, close + 2 - open);
    while (title.starts_with('<')) title.remove_prefix(1);
    while (title.ends_with('>')) title.remove_suffix(1);
    if (!Strip(title).empty()) return Decided(true);
  }
  return Decided(false);
}

// ---- combinations, start and end ----

InstructionVerdict TwoResponses(const Instruction&, const std::string& answer) {
  const std::vector<std::string_view> pieces = unicode::SplitAt(answer, "******");
  std::vector<std::string_view> responses;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view response = Strip(pieces[i]);
    if (!response.empty()) {
      responses.push_back(response);
    } else if (i != 0 && i + 1 != pieces.size()) {
      return Decided(false);
    }
  }
  return Decided(responses.size() == 2 && responses[0] != responses[1]);
}

InstructionVerdict RepeatPrompt(const Instruction& instruction, const std::string& answer) {
  return Decided(LowerCase(Strip(answer)).starts_with(LowerCase(Strip(instruction.text))));
}

InstructionVerdict EndPhrase(const Instruction& instruction, const std::string& answer) {
  return Decided(LowerCase(unicode::StripOf(Strip(answer), '"')).ends_with(LowerCase(Strip(instruction.text))));
}

InstructionVerdict NoComma(const Instruction&, const std::string& answer) {
  return Decided(answer.find(',') == std::string::npos);
}

InstructionVerdict Quotation(const Instruction&, const std::string& answer) {
  const std::string_view text = Strip(answer);
  return Decided(text.size() > 1 && text.starts_with('"') && text.ends_with('"'));
}

constexpr std::array kKinds{
    InstructionKind{"keywords:existence", Existence, {}, {}, {}, "keywords"},
    InstructionKind{"keywords:frequency", KeywordFrequency, "frequency", "relation", "keyword"},
    InstructionKind{"keywords:forbidden_words", ForbiddenWords, {}, {}, {}, "forbidden_words"},
    InstructionKind{"keywords:letter_frequency", LetterFrequency, "let_frequency", "let_relation", "letter"},
    InstructionKind{"language:response_language", ResponseLanguage, {}, {}, "language"},
    InstructionKind{"length_constraints:number_sentences", NumberOfSentences, "num_sentences", "relation"},
    InstructionKind{"length_constraints:number_paragraphs", NumberOfParagraphs, "num_paragraphs"},
    InstructionKind{"length_constraints:number_words", NumberOfWords, "num_words", "relation"},
    InstructionKind{"length_constraints:nth_paragraph_first_word",
                    NthParagraphFirstWord,
                    "num_paragraphs",
                    {},
                    "first_word",
                    {},
                    "nth_paragraph"},
    InstructionKind{"detectable_content:number_placeholders", NumberOfPlaceholders, "num_placeholders"},
    InstructionKind{"detectable_content:postscript", Postscript, {}, {}, "postscript_marker"},
    InstructionKind{"detectable_format:number_bullet_lists", NumberOfBullets, "num_bullets"},
    InstructionKind{"detectable_format:constrained_response", ConstrainedResponse},
    InstructionKind{"detectable_format:number_highlighted_sections", NumberOfHighlights, "num_highlights"},
    InstructionKind{"detectable_format:multiple_sections", MultipleSections, "num_sections", {}, "section_spliter"},
    InstructionKind{"detectable_format:json_format", JsonFormat},
    InstructionKind{"detectable_format:title", Title},
    InstructionKind{"combination:two_responses", TwoResponses},
    InstructionKind{"combination:repeat_prompt", RepeatPrompt, {}, {}, "prompt_to_repeat"},
    InstructionKind{"startend:end_checker", EndPhrase, {}, {}, "end_phrase"},
    InstructionKind{"change_case:capital_word_frequency", CapitalWords, "capital_frequency", "capital_relation"},
    InstructionKind{"change_case:english_capital", EnglishCapital},
    InstructionKind{"change_case:english_lowercase", EnglishLowercase},
    InstructionKind{"punctuation:no_comma", NoComma},
    InstructionKind{"startend:quotation", Quotation},
};

}  // namespace

std::span<const InstructionKind> InstructionKinds() { return kKinds; }

}  // namespace moecap::accuracy
