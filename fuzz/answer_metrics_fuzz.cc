// Answers of models under every metric that is not exact match: the first byte cuts the text into an answer and a gold.
#include <nlohmann/json.hpp>

#include "accuracy/arena_hard.h"
#include "accuracy/code_answer.h"
#include "accuracy/ifeval.h"
#include "accuracy/longbench.h"
#include "accuracy/rouge_l.h"
#include "accuracy/ruler.h"
#include "base/check.h"
#include "base/json.h"
#include "fuzz/fuzz.h"

namespace {

using namespace moecap;
using namespace moecap::accuracy;

bool IsShare(double score) { return score >= 0 && score <= 1; }

void ScoreTexts(std::string_view answer, std::string_view gold) {
  const std::vector<std::string> golds{std::string(gold)};
  CHECK(IsShare(QaF1(answer, gold)) && IsShare(RougeL(answer, gold)) && IsShare(CodeSimilarity(answer, gold)));
  CHECK(IsShare(CountScore(answer, gold)) && IsShare(RetrievalScore(answer, gold).value_or(0)));
  CHECK(IsShare(ClassScore(answer, gold, golds)));
  CHECK(RulerMatchPart(answer, golds) == RulerMatchAll(answer, golds));
  CHECK(QaF1(answer, answer) == 0 || QaF1(answer, answer) == 1);
  LongBenchV2Letter(answer);
  BodyOfFencedFunction(answer);
  MarkdownStyle(answer);
  MoeCapVerdict(answer);
  const ArenaQuestion question{"q", {ArenaVerdict(answer), ArenaVerdict(gold)}};
  const ArenaBattles battles = BattlesOf(std::span(&question, 1));
  CHECK(battles.outcomes.empty() == (battles.dropped == 1));
}

// The gold as what an instruction asks for, too.
void CheckInstructions(std::string_view answer, std::string_view gold) {
  const Json asked{{"keywords", {gold}},
                   {"keyword", gold},
                   {"frequency", 1},
                   {"relation", "at least"},
                   {"forbidden_words", {gold}},
                   {"language", "en"},
                   {"num_sentences", 2},
                   {"num_words", 2},
                   {"num_paragraphs", 2},
                   {"nth_paragraph", 1},
                   {"first_word", gold},
                   {"num_placeholders", 1},
                   {"postscript_marker", gold},
                   {"num_bullets", 1},
                   {"num_highlights", 1},
                   {"section_spliter", gold},
                   {"num_sections", 1},
                   {"prompt_to_repeat", gold},
                   {"end_phrase", gold},
                   {"capital_frequency", 1},
                   {"capital_relation", "less than"},
                   {"letter", "e"},
                   {"let_frequency", 2},
                   {"let_relation", "at least"}};
  std::vector<Instruction> instructions;
  for (const std::string_view id : {"keywords:existence",
                                    "keywords:frequency",
                                    "keywords:forbidden_words",
                                    "keywords:letter_frequency",
                                    "language:response_language",
                                    "length_constraints:number_sentences",
                                    "length_constraints:number_paragraphs",
                                    "length_constraints:number_words",
                                    "length_constraints:nth_paragraph_first_word",
                                    "detectable_content:number_placeholders",
                                    "detectable_content:postscript",
                                    "detectable_format:number_bullet_lists",
                                    "detectable_format:constrained_response",
                                    "detectable_format:number_highlighted_sections",
                                    "detectable_format:multiple_sections",
                                    "detectable_format:json_format",
                                    "detectable_format:title",
                                    "combination:two_responses",
                                    "combination:repeat_prompt",
                                    "startend:end_checker",
                                    "change_case:capital_word_frequency",
                                    "change_case:english_capital",
                                    "change_case:english_lowercase",
                                    "punctuation:no_comma",
                                    "startend:quotation"}) {
    const Result<Instruction> instruction = ReadInstruction(id, asked);
    if (instruction.ok()) instructions.push_back(*instruction);
  }
  const IfevalVerdict verdict = JudgeIfeval(instructions, answer);
  for (size_t i = 0; i < instructions.size(); ++i) {
    // The answer as it is belongs to the loose variants.
    CHECK(verdict.strict[i].followed != true || verdict.loose[i].followed == true);
    CHECK(verdict.strict[i].followed.has_value() == verdict.strict[i].reason.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Regular expressions of a data set may ask for much of a long text; PCRE2's limit is for texts of a million bytes.
  if (size < 2 || size > 4096) return 0;
  const std::string_view text = fuzz::Text(data + 1, size - 1);
  const size_t cut = data[0] * text.size() / 256;
  ScoreTexts(text.substr(cut), text.substr(0, cut));
  CheckInstructions(text.substr(cut), text.substr(0, cut));
  return 0;
}
