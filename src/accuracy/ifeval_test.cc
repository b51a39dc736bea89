#include "accuracy/ifeval.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "accuracy/ifeval_checks.h"
#include "accuracy/language.h"
#include "accuracy/sentences.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap::accuracy {
namespace {

constexpr std::nullopt_t kNotJudged = std::nullopt;

Instruction Make(std::string_view id, const char* arguments = "{}") {
  const auto instruction = ReadInstruction(id, Json::parse(arguments));
  EXPECT_TRUE(instruction.ok()) << (instruction.ok() ? "" : instruction.error().message);
  return *instruction;
}
std::optional<bool> Strict(std::string_view id, const char* arguments, std::string_view answer) {
  return CheckInstruction(Make(id, arguments), answer).followed;
}

TEST(Ifeval, HasAll25Kinds) { EXPECT_EQ(InstructionKinds().size(), 25u); }

TEST(Ifeval, Keywords) {
  EXPECT_EQ(Strict("keywords:existence", R"({"keywords":["Sun","moon"]})", "The sunny MOON"), true);
  EXPECT_EQ(Strict("keywords:existence", R"({"keywords":["sun","moon"]})", "The sun"), false);
  EXPECT_EQ(Strict("keywords:existence", R"({"keywords":["(c"]})", "(c"), kNotJudged)
      << "a faulty expression stops the reference";
  const char* twice = R"({"keyword":" sun ","frequency":2,"relation":"at least"})";
  EXPECT_EQ(Strict("keywords:frequency", twice, "Sun and sunset"), true);
  EXPECT_EQ(Strict("keywords:frequency", twice, "Sun"), false);
  EXPECT_EQ(Strict("keywords:forbidden_words", R"({"forbidden_words":["sun"]})", "A sunset"), true) << "whole words";
  EXPECT_EQ(Strict("keywords:forbidden_words", R"({"forbidden_words":["sun"]})", "A SUN-set"), false);
  const char* few = R"({"letter":"Q","let_frequency":2,"let_relation":"less than"})";
  EXPECT_EQ(Strict("keywords:letter_frequency", few, "quiet"), true);
  EXPECT_EQ(Strict("keywords:letter_frequency", few, "Quiet Queen"), false);
}

TEST(Ifeval, Lengths) {
  const char* three = R"({"num_words":3,"relation":"at least"})";
  EXPECT_EQ(Strict("length_constraints:number_words", three, "don't go"), true) << "don, t, go";
  EXPECT_EQ(Strict("length_constraints:number_words", three, "naïve café"), false);
  const char* two = R"({"num_paragraphs":2})";
  EXPECT_EQ(Strict("length_constraints:number_paragraphs", two, "One\n***\nTwo\n***\n"), true);
  EXPECT_EQ(Strict("length_constraints:number_paragraphs", two, "One\n***\n \n***\nTwo"), false) << "a blank one in the middle";
  const char* second = R"({"num_paragraphs":2,"nth_paragraph":2,"first_word":"Then"})";
  EXPECT_EQ(Strict("length_constraints:nth_paragraph_first_word", second, "First.\n\n\"then, it went"), true);
  EXPECT_EQ(Strict("length_constraints:nth_paragraph_first_word", second, "First.\n\nAfter that"), false);
  EXPECT_EQ(Strict("length_constraints:nth_paragraph_first_word", second, "First.\n\nThen.\n\nThen."), false);
}

TEST(Ifeval, Formats) {
  EXPECT_EQ(Strict("detectable_content:number_placeholders", R"({"num_placeholders":2})", "[a] and []"), true);
  EXPECT_EQ(Strict("detectable_content:number_placeholders", R"({"num_placeholders":2})", "[a] and [b\n]"), false);
  EXPECT_EQ(Strict("detectable_content:postscript", R"({"postscript_marker":"P.S."})", "Bye\np. s. me"), true);
  EXPECT_EQ(Strict("detectable_content:postscript", R"({"postscript_marker":"P.P.S"})", "P.S. me"), false);
  const char* three = R"({"num_bullets":3})";
  EXPECT_EQ(Strict("detectable_format:number_bullet_lists", three, "* a\n\n  - b\n** c\n-d"), true) << "a, b, d";
  EXPECT_EQ(Strict("detectable_format:constrained_response", "{}", "Well. My answer is maybe. "), true);
  EXPECT_EQ(Strict("detectable_format:constrained_response", "{}", "my answer is yes."), false);
  const char* highlights = R"({"num_highlights":3})";
  EXPECT_EQ(Strict("detectable_format:number_highlighted_sections", highlights, "*a* and **b**"), false)
      << "** ** is two empty ones";
  EXPECT_EQ(Strict("detectable_format:number_highlighted_sections", highlights, "*a* and *b* **c**"), true);
  EXPECT_EQ(Strict("detectable_format:multiple_sections", R"({"section_spliter":"Part","num_sections":2})", "Part 1\nx\nPart2"),
            true);
  EXPECT_EQ(Strict("detectable_format:json_format", "{}", " ```json\n{\"a\": [1, NaN]}\n``` "), true) << "as Python reads it";
  EXPECT_EQ(Strict("detectable_format:json_format", "{}", "Here: {}"), false);
  EXPECT_EQ(Strict("detectable_format:title", "{}", "x <<a title>>"), true);
  EXPECT_EQ(Strict("detectable_format:title", "{}", "<<>>> <<\n>>"), false);
}

TEST(Ifeval, CombinationsAndEnds) {
  EXPECT_EQ(Strict("combination:two_responses", "{}", "One\n******\nTwo"), true);
  EXPECT_EQ(Strict("combination:two_responses", "{}", "One******One "), false) << "the same";
  EXPECT_EQ(Strict("combination:repeat_prompt", R"({"prompt_to_repeat":"Say Hi"})", " say hi. Hi"), true);
  EXPECT_EQ(Strict("startend:end_checker", R"({"end_phrase":"The End."})", "So. \"the end.\"\n"), true);
  EXPECT_EQ(Strict("startend:quotation", "{}", " \"x\" "), true);
  EXPECT_EQ(Strict("startend:quotation", "{}", "\""), false);
  EXPECT_EQ(Strict("punctuation:no_comma", "{}", "a, b"), false);
}

TEST(Ifeval, SentencesAreJudgedWhereTheModelDoesNotDecide) {
  const char* three = R"({"num_sentences":3,"relation":"at least"})";
  const char* few = R"({"num_sentences":3,"relation":"less than"})";
  EXPECT_EQ(Strict("length_constraints:number_sentences", three, "It rained. We stayed! Why not?"), true);
  EXPECT_EQ(Strict("length_constraints:number_sentences", few, "It rained. We stayed! Why not?"), false);
  EXPECT_EQ(Strict("length_constraints:number_sentences", few, "It rained all day."), true);
  EXPECT_EQ(Strict("length_constraints:number_sentences", three, "It rained. We met Dr. Who."), kNotJudged);
  EXPECT_FALSE(CheckInstruction(Make("length_constraints:number_sentences", three), "See p. 4 of vol. 2.").reason.empty());
}

TEST(Sentences, LieBetweenBounds) {
  const auto bounds = [](const char* text) {
    const SentenceCount count = CountSentences(text);
    return std::pair(count.least, count.most);
  };
  using Bounds = std::pair<int64_t, int64_t>;
  EXPECT_EQ(bounds(""), (Bounds{0, 0}));
  EXPECT_EQ(bounds("no end"), (Bounds{1, 1}));
  EXPECT_EQ(bounds("The cat slept. The dog barked."), (Bounds{2, 2}));
  EXPECT_EQ(bounds("He said \"stop.\" Then nothing."), (Bounds{2, 2}));
  EXPECT_EQ(bounds("Visit example.com today"), (Bounds{1, 1}));
  EXPECT_EQ(bounds("1. First item"), (Bounds{1, 2})) << "a number";
  EXPECT_EQ(bounds("J. Smith came"), (Bounds{1, 2})) << "an initial";
  EXPECT_EQ(bounds("Well... perhaps"), (Bounds{1, 4})) << "several ends";
}

TEST(CapitalWords, AreNltksTokens) {
  EXPECT_EQ(CountCapitalWords("NASA and the U.S. Army"), 2);
  EXPECT_EQ(CountCapitalWords("I'm sure it's FINE"), 2) << "I, FINE";
  EXPECT_EQ(CountCapitalWords("DON'T STOP-NOW, A/B"), 4) << "DO, N'T, STOP-NOW, A/B";
  EXPECT_EQ(CountCapitalWords("CANNOT (YES) **BOLD**"), 4);
  EXPECT_EQ(CountCapitalWords("A1 Bc 12"), 1);
}

TEST(Language, IsToldWhereItIsPlain) {
  EXPECT_EQ(LanguageOf("This is what the people of the town said to us."), "en");
  EXPECT_EQ(LanguageOf("THIS IS WHAT THE PEOPLE OF THE TOWN SAID TO US."), "en");
  EXPECT_EQ(LanguageOf("Das ist nicht der Grund, und es wird auch nicht besser."), "de");
  EXPECT_EQ(LanguageOf("Это не то, что он и она сказали, но так было."), "ru");
  EXPECT_EQ(LanguageOf("यह एक अच्छा दिन है और मैं घर में हूँ"), "hi");
  EXPECT_EQ(LanguageOf("오늘은 날씨가 정말 좋습니다"), "ko");
  EXPECT_EQ(LanguageOf("今日はとても天気がいいです"), "ja");
  EXPECT_EQ(LanguageOf("ok"), kNotJudged);
  EXPECT_EQ(LanguageOf("Lorem ipsum dolor sit amet consectetur"), kNotJudged);
}

TEST(Ifeval, LanguageAndCase) {
  EXPECT_EQ(Strict("language:response_language", R"({"language":"de"})", "Das ist nicht der Grund, und es wird nicht besser."),
            true);
  EXPECT_EQ(Strict("language:response_language", R"({"language":"fr"})", "Das ist nicht der Grund, und es wird nicht besser."),
            false);
  EXPECT_EQ(Strict("language:response_language", R"({"language":"fr"})", "hm"), kNotJudged);
  EXPECT_EQ(Strict("change_case:english_capital", "{}", "THIS IS THE END OF IT."), true);
  EXPECT_EQ(Strict("change_case:english_capital", "{}", "This IS THE END OF IT."), false) << "whatever the language";
  EXPECT_EQ(Strict("change_case:english_lowercase", "{}", "hm"), kNotJudged);
  EXPECT_EQ(Strict("change_case:capital_word_frequency", R"({"capital_frequency":2,"capital_relation":"less than"})", "A B"),
            false);
}

TEST(Ifeval, LooseLeavesOutLinesAndAsterisks) {
  const Instruction quoted = Make("startend:quotation");
  EXPECT_EQ(CheckInstruction(quoted, "Sure:\n\"x\"").followed, false);
  EXPECT_EQ(CheckInstructionLoosely(quoted, "Sure:\n\"x\"").followed, true);
  EXPECT_EQ(CheckInstructionLoosely(quoted, "Sure:\n\"x\"\nDone.").followed, true);
  EXPECT_EQ(CheckInstructionLoosely(quoted, "*\"x\"*").followed, true);
  EXPECT_EQ(CheckInstructionLoosely(quoted, "one line").followed, false);
  EXPECT_EQ(CheckInstructionLoosely(quoted, " \n\t").followed, false) << "blanks follow nothing";
}

TEST(Ifeval, APromptIsFollowedByAllAndNotJudgedOnlyWhileItMatters) {
  const std::vector<Instruction> instructions{Make("punctuation:no_comma"),
                                              Make("language:response_language", R"({"language":"fr"})")};
  const IfevalVerdict failed = JudgeIfeval(instructions, "a, b");
  EXPECT_EQ(failed.prompt_strict, false) << "whatever the language is";
  const IfevalVerdict open = JudgeIfeval(instructions, "hm");
  EXPECT_EQ(open.prompt_strict, kNotJudged);
  const IfevalScore score = ScoreIfeval(std::vector{failed, open});
  EXPECT_EQ(score.prompt_strict.Share(), 0.0);
  EXPECT_EQ(score.prompt_strict.not_judged, 1);
  EXPECT_EQ(score.prompt_strict.Most(), 0.5);
  EXPECT_EQ(score.instruction_strict.followed, 1);
  EXPECT_EQ(score.instruction_strict.judged, 2);
  EXPECT_FALSE(ScoreIfeval({}).prompt_loose.Share().has_value());
}

TEST(Ifeval, NamesWhatIsWrongWithAnInstruction) {
  const auto message = [](std::string_view id, const char* arguments) {
    const auto instruction = ReadInstruction(id, Json::parse(arguments));
    return instruction.ok() ? "" : instruction.error().message;
  };
  EXPECT_NE(message("keywords:no_such", "{}"), "");
  EXPECT_NE(message("length_constraints:number_words", R"({"num_words":3})").find("relation"), std::string::npos);
  EXPECT_NE(message("length_constraints:number_words", R"({"num_words":-3,"relation":"at least"})").find("num_words"),
            std::string::npos);
  EXPECT_NE(message("keywords:existence", R"({"keywords":[]})").find("keywords"), std::string::npos);
  EXPECT_NE(message("keywords:letter_frequency", R"({"letter":"ab","let_frequency":1,"let_relation":"at least"})"), "");
  EXPECT_EQ(message("detectable_format:number_bullet_lists", R"({"num_bullets":3.0,"keywords":null})"), "") << "as on the hub";
}

// Every check on a million bytes of what it looks for: completes.
TEST(Ifeval, LongAnswersTakeBoundedWork) {
  const std::vector<Instruction> instructions{
      Make("keywords:existence", R"({"keywords":["zzz"]})"),
      Make("length_constraints:number_sentences", R"({"num_sentences":3,"relation":"at least"})"),
      Make("length_constraints:number_words", R"({"num_words":3,"relation":"at least"})"),
      Make("length_constraints:number_paragraphs", R"({"num_paragraphs":3})"),
      Make("length_constraints:nth_paragraph_first_word", R"({"num_paragraphs":2,"nth_paragraph":2,"first_word":"x"})"),
      Make("detectable_content:number_placeholders", R"({"num_placeholders":3})"),
      Make("detectable_content:postscript", R"({"postscript_marker":"P.S."})"),
      Make("detectable_format:number_bullet_lists", R"({"num_bullets":3})"),
      Make("detectable_format:number_highlighted_sections", R"({"num_highlights":3})"),
      Make("detectable_format:multiple_sections", R"({"section_spliter":"Part","num_sections":2})"),
      Make("detectable_format:json_format"),
      Make("detectable_format:title"),
      Make("combination:two_responses"),
      Make("change_case:capital_word_frequency", R"({"capital_frequency":2,"capital_relation":"at least"})"),
      Make("change_case:english_lowercase"),
      Make("language:response_language", R"({"language":"de"})"),
  };
  for (const std::string_view piece : {"\n", "*", "[", "<<", "! ", "p. ", "- \n", "'", "{", "Part 1", "a.b", ")\" "}) {
    std::string answer;
    while (answer.size() < 1'000'000) answer += piece;
    for (const Instruction& instruction : instructions) CheckInstruction(instruction, answer);
    answer.resize(100'000);
    EXPECT_EQ(JudgeIfeval(instructions, answer).loose.size(), instructions.size());
  }
}

TEST(Ifeval, ReadsAndJudgesEveryPromptOfTheDataSet) {
  const std::filesystem::path file = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/datasets/ifeval/input_data.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no data set";
  std::vector<IfevalVerdict> verdicts;
  for (const std::string& line : *ReadLines(file)) {
    const Json row = *ParseJson(line);
    std::vector<Instruction> instructions;
    for (size_t i = 0; i < row["kwargs"].size(); ++i) {
      const auto instruction = ReadInstruction(row["instruction_id_list"][i].get<std::string>(), row["kwargs"][i]);
      ASSERT_TRUE(instruction.ok()) << instruction.error().message;
      instructions.push_back(*instruction);
    }
    // The prompt itself as the answer: real text of all lengths.
    verdicts.push_back(JudgeIfeval(instructions, row["prompt"].get<std::string>()));
  }
  const IfevalScore score = ScoreIfeval(verdicts);
  EXPECT_EQ(score.prompt_strict.judged + score.prompt_strict.not_judged, 541);
  EXPECT_EQ(score.instruction_strict.judged + score.instruction_strict.not_judged, 834);
  EXPECT_LE(score.instruction_strict.followed, score.instruction_loose.followed + score.instruction_loose.not_judged);
}

}  // namespace
}  // namespace moecap::accuracy
